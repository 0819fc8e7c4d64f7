/** Launches for Apptainer and Singularity; apptainer-instance-start(1), apptainer-exec(1). */
import { join } from 'node:path'
import type { Launch, Variable } from '../backend.ts'
import type { Notice, Plan, PlannedContainer, Refusal } from '../plan/plan.ts'
import { credentialFor, dockerConfig } from '../runtimes/credentials.ts'
import { bindMount, volumePlacements, withExtra, type Placement } from '../runtimes/placements.ts'
import { refuseForApptainer, runtimeVariables } from '../runtimes/variables.ts'
import type { Rendering } from './rendering.ts'

/** Where the supervisor's word for a command that cannot be started, and the message file, are seen inside. */
const inside = '/.interlink'
const names = ['src', 'dst'] as const

interface Parts {
  readonly tool: string
  /** Of variables that the runtime hands on. */
  readonly prefix: string
  /** Under the names by which the runtime takes them; environment.sh gives HOME its own again. */
  readonly variables: readonly Variable[]
  /** Options with which a container is made. */
  readonly options: readonly string[]
  readonly subs: readonly Placement[]
}

/** In an instance, which assets/apptainer/instance.sh makes and in which probes and hooks run as well. */
export function apptainerLaunch(rendering: Rendering, image: string): Launch | Refusal {
  const { plan, container, dir, options } = rendering
  const refused = refuseSharing(plan) ?? refuseVariables(rendering)
  if (refused) return refused
  const { shell } = options.containers
  const { tool, variables, options: made, subs } = partsOf(rendering)
  const script = [shell, join(dir, 'instance.sh')]
  const pwd = container.workingDir ? ['--pwd', container.workingDir] : []
  const instance = `instance://${container.name}`
  const exec = [tool, '--silent', 'exec', '--containall', '--no-eval', ...pwd]
  const checked = (when: 'start' | 'enter') => [...exec, '--env', `INTERLINK_CHECK=${when}`, instance]
  return {
    outer: {
      start: [
        ...script,
        'start',
        dir,
        container.name,
        tool,
        image,
        container.pullPolicy,
        container.terminationMessagePath,
        String(subs.length),
        String(made.length),
        ...subs.flatMap(({ source, subPath }) => [source, subPath!]),
        ...made
      ],
      enter: [...script, 'enter', dir, container.name],
      announces: true
    },
    run: container.command
      ? [...checked('start'), ...container.command, ...(container.args ?? [])]
      : [tool, '--silent', 'run', '--containall', '--no-eval', ...pwd, instance, ...(container.args ?? [])],
    enter: checked('enter'),
    toolEnvironment: variables,
    files: credentialFile(rendering, image),
    signalled: 'child',
    notices: targetNotices(container)
  }
}

/** An instance has a process namespace of its own, and Apptainer lets no other container in. */
const targetNotices = ({ name, target }: PlannedContainer): Notice[] =>
  target === undefined
    ? []
    : [
        {
          reason: 'ProcessesNotShared',
          message: `container ${name} does not see the processes of ${target}, as Apptainer gives each container a process namespace of its own; kubectl exec -c ${target} does`
        }
      ]

/** Once per rank, on however many machines: an instance would be on one of them only. */
export function apptainerOnce(rendering: Rendering, image: string): Launch | Refusal {
  const { container, dir, options, ranks = [] } = rendering
  const refused = refuseVariables(rendering)
  if (refused) return refused
  const { shell } = options.containers
  const { tool, prefix, variables, options: made, subs } = partsOf(rendering)
  const pwd = container.workingDir ? ['--pwd', container.workingDir] : []
  const path = join(dir, 'c', container.name, 'image')
  const exec = [tool, '--silent', 'exec', ...made, ...pwd, path]
  const run = container.command ? exec : exec.with(2, 'run')
  return {
    outer: {
      start: [
        shell,
        join(dir, 'instance.sh'),
        'prepare',
        dir,
        container.name,
        tool,
        image,
        container.pullPolicy,
        String(subs.length),
        ...subs.flatMap(({ source, subPath }) => [source, subPath!])
      ],
      enter: [shell, join(dir, 'instance.sh'), 'enter', dir, container.name],
      announces: true
    },
    run: [
      ...ranks,
      shell,
      join(dir, 'rank.sh'),
      prefix,
      ...run,
      ...(container.command ?? []),
      ...(container.args ?? [])
    ],
    enter: exec,
    toolEnvironment: variables,
    files: credentialFile(rendering, image)
  }
}

/** instance start makes a process namespace, whatever it is told. */
const refuseSharing = ({ sharesProcesses, containers }: Plan): Refusal | undefined =>
  sharesProcesses && containers.length > 1
    ? {
        field: 'spec.shareProcessNamespace',
        message: 'Apptainer gives each container a process namespace of its own; remove it'
      }
    : undefined

const refuseVariables = ({ plan, container, field }: Rendering): Refusal | undefined =>
  refuseForApptainer(runtimeVariables(plan.pod, container), field)

/** Read by assets/apptainer/image.sh, wherever that runs. */
function credentialFile({ plan }: Rendering, image: string): Launch['files'] {
  const credential = image.startsWith('/') ? undefined : credentialFor(image, plan.credentials ?? [])
  return credential ? [{ name: 'auth.json', text: dockerConfig(credential) }] : []
}

/** Ranks on a node find each other by memory and processes, and fabrics by devices; their node by its own name. */
const together = ['--cleanenv', '--no-mount', 'home,cwd']

function partsOf(rendering: Rendering): Parts {
  const { plan, dir, container, options, asked, gpu, ranks } = rendering
  const { runtime, tool = runtime, options: site } = options.containers
  const own = join(dir, 'c', container.name)
  const prefix = runtime === 'singularity' ? 'SINGULARITYENV_' : 'APPTAINERENV_'
  const { terminationMessagePath: message } = container
  const volumes = volumePlacements(plan, dir, container)
  const subs = volumes.filter(({ subPath }) => subPath !== undefined)
  const said = join(dir, 'message', container.name)
  const placements = withExtra(
    volumes.map((placement) => {
      const sub = subs.indexOf(placement)
      return sub < 0 ? placement : { ...placement, source: join(own, 'sub', String(sub)) }
    }),
    [
      { source: said, path: message.startsWith('/dev/') ? `${inside}/message` : message, readOnly: false },
      // On the first node of a job alone.
      ...(ranks
        ? []
        : [{ source: join(dir, 'run', `${container.name}.fail`), path: `${inside}/fail`, readOnly: false }]),
      { source: join(own, 'hosts'), path: '/etc/hosts', readOnly: true },
      {
        source: join(dir, 'environment.sh'),
        path: '/.singularity.d/env/99-zz-interlink.sh',
        readOnly: true
      }
    ]
  )
  // What lies in another mount is mounted after it.
  const sorted = placements.toSorted((a, b) => a.path.split('/').length - b.path.split('/').length)
  return {
    tool,
    prefix,
    variables: runtimeVariables(plan.pod, container).map(({ name, value }) => ({
      name: `${prefix}${name === 'HOME' ? 'INTERLINK_HOME' : name}`,
      value
    })),
    subs,
    options: [
      ...(ranks ? together : ['--containall', '--hostname', plan.pod.hostname]),
      '--no-eval',
      ...(container.readOnlyRoot ? [] : ['--writable-tmpfs']),
      ...(gpu.nvidia ? ['--nv'] : []),
      ...(gpu.amd ? ['--rocm'] : []),
      ...sorted.flatMap((placement) => ['--mount', bindMount(placement, names)]),
      ...site,
      ...asked
    ]
  }
}
