/** Launches for Enroot (github.com/NVIDIA/enroot, doc/cmd) and its Slurm plugin Pyxis (github.com/NVIDIA/pyxis). */
import { join } from 'node:path'
import type { Launch } from '../kit/backend.ts'
import type { Refusal } from '../kit/plan/plan.ts'
import { volumePlacements, withExtra, type Placement } from '../kit/runtimes/placements.ts'
import type { SlurmRendering } from './launch.ts'

/** Arguments: tool, image, where it is unpacked to, name of the container, the command that follows. */
const prepare = `
tool=$1 image=$2 file=$3 name=$4
shift 4
case $image in
/*) file=$image ;;
*) [ -e "$file" ] || "$tool" import --output "$file" "$image" || exit 128 ;;
esac
"$tool" create --force --name "$name" "$file" || exit 128
exec "$@"
`

/** Arguments: tool, file with the id of the first process, the command. */
const enter = `
tool=$1
read -r leader <"$2" || exit 126
shift 2
for child in $(cat "/proc/$leader/task/"*/children); do exec "$tool" exec "$child" "$@"; done
echo 'the container is not running' >&2
exit 126
`

export function enrootLaunch(rendering: SlurmRendering, image: string): Launch | Refusal {
  const { field, options } = rendering
  if (!image.startsWith('/') && !image.startsWith('docker://'))
    return { field: `${field}.image`, message: `Enroot takes docker:// images and .sqsh files, not ${image}` }
  const placements = placementsOf(rendering)
  const odd = placements.find(({ source, path }) => /[:,\s]/.test(`${source}${path}`))
  if (odd)
    return {
      field: `${field}.volumeMounts`,
      message: `Enroot takes no blank, comma or colon in a path; rename ${odd.path}`
    }
  return options.containers.runtime === 'pyxis'
    ? pyxis(rendering, image, placements)
    : enroot(rendering, image, placements)
}

function enroot(
  { plan, dir, container, options, asked }: SlurmRendering,
  image: string,
  placements: Placement[]
): Launch {
  const { shell, tool = 'enroot', options: site } = options.containers
  const name = `${container.name}-${plan.pod.uid}`
  const mounts = placements.flatMap(({ source, path, readOnly }) => [
    '--mount',
    `${source}:${path}:x-create=auto,bind,${readOnly ? 'ro' : 'rw'}`
  ])
  return {
    outer: {
      start: [
        shell,
        '-c',
        prepare,
        'enroot',
        tool,
        enrootUri(image),
        join(dir, 'c', container.name, 'image.sqsh'),
        name
      ],
      enter: []
    },
    run: [
      tool,
      'start',
      ...(container.readOnlyRoot ? [] : ['--rw']),
      ...environmentNames(container.env).flatMap((variable) => ['--env', variable]),
      ...mounts,
      ...site,
      ...asked,
      name,
      ...(container.command ?? []),
      ...(container.args ?? [])
    ],
    enter: [shell, '-c', enter, 'enter', tool, join(dir, 'run', `${container.name}.pid`)]
  }
}

function pyxis(
  { plan, container, options, mpi = [] }: SlurmRendering,
  image: string,
  placements: Placement[]
): Launch {
  const name = `${container.name}-${plan.pod.uid}`
  const mounts = placements.map(({ source, path, readOnly }) => `${source}:${path}${readOnly ? ':ro' : ''}`)
  const within = [
    `--container-name=${name}`,
    ...(container.workingDir ? [`--container-workdir=${container.workingDir}`] : [])
  ]
  return {
    run: [
      'srun',
      '--kill-on-bad-exit=1',
      ...mpi,
      `--container-image=${image.startsWith('/') ? image : enrootUri(image).slice('docker://'.length)}`,
      ...within,
      container.readOnlyRoot ? '--container-readonly' : '--container-writable',
      ...(mounts.length > 0 ? [`--container-mounts=${mounts.join(',')}`] : []),
      `--container-env=${environmentNames(container.env).join(',')}`,
      ...(container.command ? ['--no-container-entrypoint'] : ['--container-entrypoint']),
      ...options.containers.options,
      ...(container.command ?? []),
      ...(container.args ?? [])
    ],
    enter: ['srun', '--overlap', '--ntasks=1', ...within]
  }
}

function placementsOf({ plan, dir, container }: SlurmRendering): Placement[] {
  const volumes = volumePlacements(plan, dir, container).map((placement) =>
    placement.subPath ? { ...placement, source: `${placement.source}/${placement.subPath}` } : placement
  )
  return withExtra(volumes, [
    { source: join(dir, 'message', container.name), path: container.terminationMessagePath, readOnly: false }
  ])
}

/** Enroot writes `#` between a registry and a repository. */
function enrootUri(image: string): string {
  if (image.startsWith('/')) return image
  const [, registry, repository] = /^docker:\/\/([^/]*[.:][^/]*|localhost)\/(.+)$/.exec(image) ?? []
  return registry ? `docker://${registry}#${repository}` : image
}

const environmentNames = (env: readonly { readonly name: string }[]): string[] => [
  ...new Set(['HOSTNAME', 'INTERLINK_INSTANCE', ...env.map(({ name }) => name)])
]
