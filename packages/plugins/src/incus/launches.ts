import type { Launch, Rendered } from '../kit/backend.ts'
import { containerPaths } from '../kit/plan/context.ts'
import type { Plan, PlannedContainer, Refusal } from '../kit/plan/plan.ts'
import { volumePlacements, withExtra, type Placement } from '../kit/runtimes/placements.ts'
import { runtimeVariables } from '../kit/runtimes/variables.ts'
import { hostPathOf } from './instance.ts'
import { jobPath } from './first-program.ts'
import { ociImage } from './oci-image.ts'
import type { IncusOptions } from './options.ts'
import { isSplit, sharedPath, sharedVolumes } from './split-plan.ts'

/** How the containers of a pod run in its instance: each with mounts of its own, over the one file system. Pure. */
export function renderLaunches(plan: Plan, { remotes }: Pick<IncusOptions, 'remotes'>): Rendered {
  const refusals: Refusal[] = []
  const launches: Record<string, Launch> = {}
  const [first] = plan.containers
  containerPaths(plan.containers).forEach((field, index) => {
    const container = plan.containers[index]!
    if (!isSplit(plan) && container.image !== first!.image)
      refusals.push({
        field: `${field}.image`,
        message: `a pod is one instance of one image: all its containers are of ${first!.image}; give them the same, or each an instance (interlink.io/incus-layout: containers)`
      })
    const { user, nonRoot } = container.runAs
    if (nonRoot && user === undefined)
      refusals.push({
        field: `${field}.securityContext.runAsNonRoot`,
        message: 'without runAsUser it would run as root; give a uid as runAsUser, or remove it'
      })
    const isOci = ociImage(container.image, remotes) !== undefined
    if (!container.command && (!isOci || container.args))
      refusals.push({
        field: `${field}.command`,
        message: isOci
          ? `Incus tells the entrypoint of an image and its arguments as one, which \`args\` alone cannot change; give the command too`
          : `image ${container.image} says not what to run; give a command`
      })
    else launches[container.name] = launchOf(plan, container, isOci)
  })
  return refusals.length > 0 ? { refusals } : { launches, notices: [], seenAs: jobPath }
}

function launchOf(plan: Plan, container: PlannedContainer, isOci: boolean): Launch {
  const { name, workingDir } = container
  const command = [...(container.command ?? []), ...(container.args ?? [])]
  const mounts = placementsOf(plan, container).flatMap(({ source, subPath, path, readOnly }) => [
    readOnly ? 'ro' : 'rw',
    source,
    subPath ?? '',
    path
  ])
  return {
    outer: {
      start: ['unshare', '-m', '/bin/sh', `${jobPath}/mounts.sh`, ...mounts, '--'],
      enter: ['/bin/sh', `${jobPath}/enter.sh`, `${jobPath}/run/${name}.pid`]
    },
    ...(isOci
      ? {
          run: [...asImage('start', plan, container), ...command],
          enter: asImage('enter', plan, container),
          toolEnvironment: runtimeVariables(plan.pod, container)
        }
      : { ...accountOf(plan, container), run: command, enter: [], cwd: workingDir ?? '/' })
  }
}

const groupsOf = ({ fileGroup, groups = [] }: Plan): number[] => [
  ...(fileGroup === undefined ? [] : [fileGroup]),
  ...groups
]

function accountOf(plan: Plan, { runAs: { user, group } }: PlannedContainer): Pick<Launch, 'account'> {
  const groups = groupsOf(plan)
  if (user === undefined && group === undefined && groups.length === 0) return {}
  return { account: { user: user ?? 0, ...(group === undefined ? {} : { group }), groups } }
}

/** What a pod leaves to the image is known where the image is. */
const asImage = (
  mode: 'start' | 'enter',
  plan: Plan,
  { name, workingDir = '', runAs: { user, group } }: PlannedContainer
): string[] => [
  '/bin/sh',
  `${jobPath}/image.sh`,
  mode,
  name,
  workingDir,
  user === undefined ? '' : String(user),
  group === undefined ? '' : String(group),
  groupsOf(plan).join(' ')
]

/** A path above another is mounted first. */
function placementsOf(plan: Plan, container: PlannedContainer): Placement[] {
  const kinds = new Map(plan.volumes.map((volume) => [volume.name, volume.kind]))
  const shared = new Set(sharedVolumes(plan).map(({ name }) => name))
  const volumes = volumePlacements(plan, jobPath, container).map((placement, index) => {
    const { volume } = container.mounts[index]!
    if (shared.has(volume)) return { ...placement, source: sharedPath(volume) }
    return kinds.get(volume) === 'hostPath' ? { ...placement, source: hostPathOf(volume) } : placement
  })
  return withExtra(volumes, [
    {
      source: `${jobPath}/message/${container.name}`,
      path: container.terminationMessagePath,
      readOnly: false
    },
    { source: `${jobPath}/hosts`, path: '/etc/hosts', readOnly: true }
  ]).sort((a, b) => a.path.split('/').length - b.path.split('/').length)
}
