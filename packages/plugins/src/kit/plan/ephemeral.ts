import type { Container, Pod } from '@interlink-ts/interlink-api/wire'
import { compileContainer } from './container.ts'
import { createContext, dnsLabel, type Context, type Placed } from './context.ts'
import { checkContainerFields } from './fields.ts'
import { collectSent } from './files.ts'
import { Findings } from './findings.ts'
import type { Notice, Plan, PlannedContainer, Refusal } from './plan.ts'
import type { SitePolicy } from './policy.ts'
import { compileVolumes, type CompiledVolume } from './volumes.ts'

export type CompiledEphemeral =
  | { readonly container: PlannedContainer; readonly path: string; readonly notices: readonly Notice[] }
  | { readonly refusals: readonly Refusal[] }

/** As the API server has it for ephemeral containers. */
const never = [
  'lifecycle',
  'livenessProbe',
  'ports',
  'readinessProbe',
  'resources',
  'restartPolicy',
  'startupProbe'
] as const

/**
 * Plans an ephemeral container, `name` of `spec.ephemeralContainers`, into the job of its pod, which has `plan`: what the
 * job has of volumes, host name and pull secrets is the container's too.
 */
export function compileEphemeral(pod: Pod, name: string, plan: Plan, policy: SitePolicy): CompiledEphemeral {
  const findings = new Findings()
  const context = createContext(pod, policy, findings)
  const { ephemeralContainers = [] } = pod.spec
  const index = ephemeralContainers.findIndex((one) => one.name === name)
  const path = `spec.ephemeralContainers[${index}]`
  const container = ephemeralContainers[index]
  if (!container)
    return { refusals: [{ field: 'spec.ephemeralContainers', message: `there is no ${name}; add it` }] }
  const placed: Placed = { container, path, kind: 'ephemeral' }
  if (plan.script !== undefined)
    findings.refuse(path, 'nothing can join the job of a job script builder; run a pod of its own')
  checkIdentity(placed, plan, context)
  checkContainerFields(placed, context)
  for (const field of never)
    if (Object.keys(Object(container[field])).length > 0)
      findings.refuse(`${path}.${field}`, 'is not for ephemeral containers; remove it')
  const planned = compileContainer(
    placed,
    {
      sent: undefined,
      volumes: volumesOf(pod, plan, placed, context),
      limits: {},
      hostname: plan.pod.hostname
    },
    context
  )
  if (findings.refusals.length > 0) return { refusals: findings.refusals }
  const { targetContainerName: target } = container as { readonly targetContainerName?: string }
  return {
    container: { ...planned, ...(target && { target }) },
    path,
    notices: findings.notices()
  }
}

function checkIdentity({ container, path }: Placed, plan: Plan, { findings }: Context): void {
  const { name, targetContainerName: target } = container as Container & { targetContainerName?: string }
  if (!dnsLabel.test(name)) findings.refuse(`${path}.name`, 'a container name is a DNS label; rename it')
  if (plan.containers.some((one) => one.name === name))
    findings.refuse(`${path}.name`, `there is a container ${name} already; rename it`)
  if (target && !plan.containers.some((one) => one.name === target && one.kind !== 'ephemeral'))
    findings.refuse(`${path}.targetContainerName`, `the pod has no container ${target}; correct it`)
}

/** The job was sent the content of those volumes that some container mounts. */
function volumesOf(
  pod: Pod,
  plan: Plan,
  { container, path }: Placed,
  context: Context
): Map<string, CompiledVolume> {
  const volumes = compileVolumes(collectSent({ pod, container: [] }), new Set(), context)
  for (const planned of plan.volumes)
    if (planned.kind !== 'hostPath')
      volumes.set(planned.name, { planned, readOnly: planned.kind === 'files' })
  container.volumeMounts?.forEach(({ name }, index) => {
    if (volumes.get(name) === 'unused')
      context.findings.refuse(
        `${path}.volumeMounts[${index}].name`,
        `the job has no volume ${name}, as none of the pod's own containers mounts it; mount another`
      )
  })
  return volumes
}
