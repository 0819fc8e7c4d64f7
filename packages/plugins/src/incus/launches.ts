import type { Launch, Rendered } from '../kit/backend.ts'
import { containerPaths } from '../kit/plan/context.ts'
import type { Plan, PlannedContainer, Refusal } from '../kit/plan/plan.ts'
import { volumePlacements, withExtra, type Placement } from '../kit/runtimes/placements.ts'
import { hostPathOf } from './instance.ts'
import { jobPath } from './first-program.ts'

/** How the containers of a pod run in its instance: each with mounts of its own, over the one file system. Pure. */
export function renderLaunches(plan: Plan): Rendered {
  const refusals: Refusal[] = []
  const launches: Record<string, Launch> = {}
  const [first] = plan.containers
  containerPaths(plan.containers).forEach((field, index) => {
    const container = plan.containers[index]!
    if (container.image !== first!.image)
      refusals.push({
        field: `${field}.image`,
        message: `a pod is one instance of one image: all its containers are of ${first!.image}; give them the same`
      })
    const { user, nonRoot } = container.runAs
    if (nonRoot && user === undefined)
      refusals.push({
        field: `${field}.securityContext.runAsNonRoot`,
        message: 'without runAsUser it would run as root; give a uid as runAsUser, or remove it'
      })
    if (!container.command)
      refusals.push({
        field: `${field}.command`,
        message: `image ${container.image} says not what to run; give a command`
      })
    else launches[container.name] = launchOf(plan, container, container.command)
  })
  return refusals.length > 0 ? { refusals } : { launches, notices: [], seenAs: jobPath }
}

function launchOf(plan: Plan, container: PlannedContainer, command: readonly string[]): Launch {
  const { name, runAs } = container
  const { fileGroup, groups = [] } = plan
  const hasAccount =
    runAs.user !== undefined || runAs.group !== undefined || fileGroup !== undefined || groups.length > 0
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
    ...(hasAccount
      ? {
          account: {
            user: runAs.user ?? 0,
            ...(runAs.group === undefined ? {} : { group: runAs.group }),
            groups: [...(fileGroup === undefined ? [] : [fileGroup]), ...groups]
          }
        }
      : {}),
    run: [...command, ...(container.args ?? [])],
    enter: [],
    cwd: container.workingDir ?? '/'
  }
}

/** A path above another is mounted first. */
function placementsOf(plan: Plan, container: PlannedContainer): Placement[] {
  const kinds = new Map(plan.volumes.map((volume) => [volume.name, volume.kind]))
  const volumes = volumePlacements(plan, jobPath, container).map((placement, index) => {
    const { volume } = container.mounts[index]!
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
