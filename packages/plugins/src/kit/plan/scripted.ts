import type { Context } from './context.ts'
import type { Plan, PlannedContainer } from './plan.ts'

/** A container that is only told of; how it runs is known elsewhere. */
export const toldContainer = ({
  name,
  kind,
  image
}: Pick<PlannedContainer, 'name' | 'kind' | 'image'>): PlannedContainer => ({
  name,
  kind,
  image,
  pullPolicy: 'Never',
  env: [],
  mounts: [],
  limits: {},
  probes: {},
  stopSignal: 'TERM',
  terminationMessagePath: '',
  terminationMessagePolicy: 'File',
  runAs: {},
  readOnlyRoot: false,
  stdin: false,
  tty: false
})

/** `jobScript` of the protocol is raw shell: only where the backend runs such scripts, and its site wants it. */
export function checkScript({ pod, policy, findings }: Context): void {
  if (!policy.backend.jobScripts)
    findings.refuse(
      'jobScript',
      'scripts of a job script builder are raw shell and not run by this site; take jobScriptUrl from the node, ' +
        'or ask the site to allow them (of the Slurm plugin: options.batch.jobScripts)'
    )
  if (pod.spec.restartPolicy !== 'Never')
    findings.refuse('spec.restartPolicy', 'the script of a job script builder is run once; use Never')
}

/** The script has its own way with images, files and environment: nothing of them is prepared for it. */
export const scripted = ({ credentials: _, ...plan }: Plan, script: string): Plan => ({
  ...plan,
  script,
  containers: plan.containers.map((container) => ({ ...toldContainer(container), runAs: container.runAs })),
  volumes: []
})
