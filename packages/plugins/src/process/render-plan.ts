import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Launch, Rendered } from '../kit/backend.ts'
import { containerPaths } from '../kit/plan/context.ts'
import type { Notice, Plan, PlannedContainer, Refusal } from '../kit/plan/plan.ts'
import { volumePlacements, withExtra, type Placement } from '../kit/runtimes/placements.ts'
import { apptainerLaunch, podmanLaunch } from './container-runtimes.ts'
import { chooseRuntime, type Runtime } from './image.ts'
import { layOut, PlacementError, type Laid } from './layout.ts'
import type { Machine, NamespaceTools } from './machine.ts'
import type { ProcessOptions } from './options.ts'

/** Where the kubelet mounts the token of the service account. */
const accountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
const defaultMessagePath = '/dev/termination-log'

export interface Rendering {
  readonly plan: Plan
  readonly dir: string
  readonly machine: Machine
  readonly container: PlannedContainer
  /** `spec.containers[0]` */
  readonly field: string
}

/** How this machine would run a plan. */
export async function renderPlan(
  plan: Plan,
  dir: string,
  machine: Machine,
  options: ProcessOptions
): Promise<Rendered> {
  const refusals: Refusal[] = []
  const launches: Record<string, Launch> = {}
  const fields = containerPaths(plan.containers)
  for (const [index, container] of plan.containers.entries()) {
    const field = fields[index]!
    const launch = await renderContainer({ plan, dir, machine, container, field }, options)
    if (Array.isArray(launch)) refusals.push(...(launch as Refusal[]))
    else launches[container.name] = launch as Launch
  }
  return refusals.length > 0 ? { refusals } : { launches, notices: [] }
}

async function renderContainer(
  rendering: Rendering,
  options: ProcessOptions
): Promise<Launch | readonly Refusal[]> {
  const { container, field, machine } = rendering
  const runtime = await chooseRuntime(container.image, `${field}.image`, machine, options)
  if ('field' in runtime) return [runtime]
  switch (runtime.kind) {
    case 'host':
    case 'directory':
      if (!container.command)
        return [
          {
            field: `${field}.command`,
            message: `image ${container.image} says not what to run; give a command`
          }
        ]
      return machine.namespaces
        ? isolated(rendering, runtime.kind === 'directory' ? runtime.path : '')
        : bare(rendering)
    case 'apptainer':
      return besideDevices(rendering, runtime)
    case 'podman':
      return podmanLaunch(rendering, runtime)
  }
}

/**
 * Apptainer gives a container the devices of the machine and takes no mount among them, such as /dev/shm or the
 * file for last words: it is run where the machine's /dev has them already.
 */
async function besideDevices(
  rendering: Rendering,
  runtime: Extract<Runtime, { kind: 'apptainer' }>
): Promise<Launch | readonly Refusal[]> {
  const { plan, machine, container, field } = rendering
  const inDevices = ({ path }: Placement) => /^\/+dev(\/|$)/.test(path)
  const all = placementsOf(rendering)
  const launch = apptainerLaunch(
    rendering,
    runtime,
    all.filter((placement) => !inDevices(placement))
  )
  if (!('run' in launch)) return launch
  const special = all.filter(inDevices)
  if (!machine.namespaces) {
    const index = container.mounts.findIndex(({ mountPath }) => inDevices({ path: mountPath } as Placement))
    return index < 0
      ? { ...launch, notices: [...launch.notices!, notMounted(container, machine)] }
      : [{ field: `${field}.volumeMounts[${index}]`, message: `nothing can be mounted here: ${machine.why}` }]
  }
  const laid = await laidOut(rendering, special, '')
  if (!('steps' in laid)) return laid
  const same = [`--map-user=${machine.uid}`, `--map-group=${machine.gid}`]
  const asAccount = machine.uid !== 0 && container.runAs.user !== 0
  return {
    ...launch,
    outer: {
      start: [
        ...isolation(rendering, machine.namespaces, [...laid.steps, 'hostname', plan.pod.hostname]),
        ...['pivot', '--'],
        ...(asAccount ? [machine.namespaces.unshare, '--user', ...same, '--mount', '--uts', '--'] : [])
      ],
      enter: []
    }
  }
}

/** In namespaces of the container's own; see assets/isolate.sh. */
async function isolated(rendering: Rendering, root: string): Promise<Launch | readonly Refusal[]> {
  const { plan, dir, machine, container } = rendering
  const tools = machine.namespaces!
  const own = join(dir, 'c', container.name)
  const placements = [
    ...placementsOf(rendering),
    ...(root === '' ? [] : [{ source: '/etc/resolv.conf', path: '/etc/resolv.conf', readOnly: true }])
  ]
  const laid = await laidOut(rendering, placements, root)
  if (!('steps' in laid)) return laid
  const identity = identityOf(rendering)
  const command = [...container.command!, ...(container.args ?? [])]
  const asUser = identity ? ['--user', ...identity] : []
  const become = [tools.unshare, ...asUser, '--mount', '--uts']
  const enter = [
    tools.nsenter,
    ...(identity || machine.uid !== 0 ? [`--user=${own}/proc/ns/user`, '--preserve-credentials'] : []),
    `--mount=${own}/proc/ns/mnt`,
    `--uts=${own}/proc/ns/uts`
  ]
  // A volume over the job directory would hide the scripts: as with an image, the root is then entered last.
  const pivots = root === '' && !laid.hides
  const steps = [
    ...laid.steps,
    ...(container.readOnlyRoot
      ? root === ''
        ? ['readonly-root', pivots ? dir : '']
        : ['readonly', '']
      : []),
    'hostname',
    plan.pod.hostname
  ]
  const outer = isolation(rendering, tools, steps)
  const wait = [machine.shell, '-c', untilStarted, 'enter', own, join(dir, 'run', `${container.name}.pid`)]
  const notices = await rebuiltNotices(laid.rebuilt, machine, container)
  if (pivots)
    return {
      outer: {
        start: [...outer, 'pivot', '--', ...(identity ? [...become, '--'] : [])],
        enter: [...wait, '', ...enter, '--']
      },
      run: command,
      enter: [],
      cwd: container.workingDir ?? '/',
      notices
    }
  const within = container.workingDir ?? '/'
  return {
    outer: { start: [...outer, '--'], enter: [...wait, 'image'] },
    run: [...(identity ? become : [tools.unshare]), `--root=${own}/root`, `--wd=${within}`, '--', ...command],
    enter: [...enter, `--root=${own}/proc/root`, `--wdns=${within}`, '--'],
    notices
  }
}

/** @returns where everything comes to lie, or the refusal of what cannot be mounted */
async function laidOut(
  { dir, container, field }: Rendering,
  placements: readonly Placement[],
  root: string
): Promise<Laid | readonly Refusal[]> {
  try {
    return await layOut(placements, root, dir)
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error
    const index = container.mounts.findIndex(({ mountPath }) => mountPath === error.path)
    const at = index < 0 ? 'terminationMessagePath' : `volumeMounts[${index}].mountPath`
    return [{ field: `${field}.${at}`, message: error.message }]
  }
}

const isolation = (
  { dir, machine, container }: Rendering,
  { unshare }: NamespaceTools,
  steps: readonly string[]
): string[] => [
  unshare,
  ...(machine.uid === 0 ? [] : ['--user', '--map-root-user']),
  '--mount',
  '--uts',
  '--',
  machine.shell,
  join(dir, 'isolate.sh'),
  dir,
  container.name,
  ...steps
]

/**
 * A probe or hook may come while the instance is still being made. It has been when its first process has said its
 * id, and, where that still leaves the machine's root, has left it. Arguments: the container's directory, the file
 * with the id, `image` or nothing, the command.
 */
const untilStarted = `
until [ -s "$2" ] && { [ -z "$3" ] || [ "$(readlink "$1/proc/root")" != / ]; }; do sleep 0.05; done
shift 3
exec "$@"
`

/** The uid and gid seen inside; absent where they are those the file system is laid out under. */
function identityOf({ machine, container }: Rendering): string[] | undefined {
  const { user, group } = container.runAs
  if (!machine.userNamespaces) return undefined
  if (machine.uid === 0 && user === undefined && group === undefined) return undefined
  if (machine.uid !== 0 && user === 0 && (group ?? 0) === 0) return undefined
  return [`--map-user=${user ?? machine.uid}`, `--map-group=${group ?? machine.gid}`]
}

/** Volumes, the file for last words, and /etc/hosts. */
export function placementsOf({ plan, dir, container }: Rendering): Placement[] {
  return withExtra(volumePlacements(plan, dir, container), [
    { source: join(dir, 'message', container.name), path: container.terminationMessagePath, readOnly: false },
    { source: join(dir, 'hosts'), path: '/etc/hosts', readOnly: true }
  ])
}

/** Where somebody would look for what the pod has written beside its mounts, it is said that it is not there. */
async function rebuiltNotices(
  rebuilt: readonly string[],
  { uid }: Machine,
  container: PlannedContainer
): Promise<Notice[]> {
  const notices: Notice[] = []
  for (const dir of rebuilt) {
    if (dir === '/dev') continue
    const found = await stat(dir)
    const written = (found.mode & 0o1000) !== 0 || (uid !== 0 && found.uid === uid)
    if (written)
      notices.push({
        reason: 'PrivateDirectory',
        message: `new entries of ${dir} are seen by container ${container.name} alone, as a mount had to be added to it`
      })
  }
  return notices
}

const notMounted = ({ name, terminationMessagePath }: PlannedContainer, { why }: Machine): Notice => ({
  reason: 'NotMounted',
  message: `${name}: the termination message is not read from ${terminationMessagePath}: ${why}`
})

/** Straight on the machine: nothing can be mounted. */
async function bare({ plan, container, field, machine }: Rendering): Promise<Launch | readonly Refusal[]> {
  const refusals: Refusal[] = []
  const notices: Notice[] = []
  container.mounts.forEach(({ mountPath }, index) => {
    if (mountPath === accountPath)
      notices.push({
        reason: 'NotMounted',
        message: `${container.name}: the service account's token is not mounted: ${machine.why}`
      })
    else
      refusals.push({
        field: `${field}.volumeMounts[${index}]`,
        message: `nothing can be mounted here: ${machine.why}`
      })
  })
  if (container.terminationMessagePath !== defaultMessagePath) notices.push(notMounted(container, machine))
  if (plan.hosts.length > 1)
    notices.push({ reason: 'NotMounted', message: `hostAliases are not in /etc/hosts: ${machine.why}` })
  if (refusals.length > 0) return refusals
  return {
    run: [...container.command!, ...(container.args ?? [])],
    enter: [],
    cwd: container.workingDir ?? '/',
    notices
  }
}
