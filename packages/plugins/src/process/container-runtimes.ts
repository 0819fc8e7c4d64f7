/** Launches for images that another runtime unpacks. */
import { join } from 'node:path'
import type { Launch } from '../kit/backend.ts'
import type { PlannedContainer, Refusal } from '../kit/plan/plan.ts'
import { bindMount, type Placement } from '../kit/runtimes/placements.ts'
import { instanceMark, refuseForApptainer, runtimeVariables } from '../kit/runtimes/variables.ts'
import type { Runtime } from './image.ts'
import { placementsOf, type Rendering } from './render-plan.ts'

/** What Apptainer sets in the container under the name behind it; see "Environment and Metadata" of its guide. */
const prefix = 'APPTAINERENV_'

/** What the loader, the C and Go libraries, Podman and its helpers look for in their environment. */
const steersPodman =
  /^(LD_|GLIBC|MALLOC_|GCONV_|LOCPATH|NLSPATH|LANG|LC_|TZ|GO|HOME$|PATH$|USER|LOGNAME|SHELL|TMPDIR|XDG_|DBUS_|_?CONTAINER|PODMAN|BUILDAH|STORAGE_|LIBPOD|REGISTR|DOCKER|NETAVARK|CNI|NOTIFY_|LISTEN_|SSL_|SSH_|INTERLINK_|OCI|[A-Z]+_PROXY)/i
/** Podman reads its file of variables by lines of less than 64 KiB. */
const longestLine = 60_000

/** Arguments: the job's directory, the container, what is wrong. */
const fail = `
fail() {
  printf %s "$1" >"$dir/run/$name.reason"
  printf %s "$2" >"$dir/run/$name.fail"
  printf '%s\\n' "$2" >&2
  exit 128
}
`

/**
 * Arguments: the job's directory, the container, how many, each a volume and a path in it. A link that the pod has
 * made must not lead out of the volume; what the path comes to is linked to where the runtime finds it.
 */
const resolveSubPaths = `${fail}
dir=$1 name=$2 count=$3
shift 3
mkdir -p "$dir/c/$name/sub"
while [ "$count" -gt 0 ]; do
  inside=$(readlink -f "$1") || fail StartError "volume source $1 is not there"
  real=$inside rest=$2/
  while [ "$rest" ]; do
    part=\${rest%%/*} rest=\${rest#*/}
    [ -e "$real/$part" ] || mkdir -m 777 "$real/$part" || fail StartError "subPath $2 cannot be made in its volume"
    real=$(readlink -f "$real/$part") || fail StartError "subPath $2 cannot be resolved"
    case $real in
    "$inside"/*) ;;
    *) fail StartError "subPath $2 leaves its volume" ;;
    esac
  done
  count=$((count - 1))
  ln -sfn "$real" "$dir/c/$name/sub/$count"
  shift 2
done
exec "$@"
`

const pullForApptainer = `${fail}
dir=$1 name=$2 tool=$3 image=$4 policy=$5 file=$6
shift 6
[ "$policy" = always ] && rm -f "$file"
[ -e "$file" ] || said=$("$tool" --silent pull "$file" "$image" 2>&1) || fail ErrImagePull "image $image cannot be pulled: $said"
exec "$@"
`

/** For a container with a terminal Apptainer opens /dev/console, which to root would be the machine's. */
const layOverConsole = `
terminal=$(tty) && mount --bind "$terminal" /dev/console || exit 126
exec "$@"
`

/** As a kubelet does, volumes are open to a uid of the image's; the job's directory around them is not. */
const pullForPodman = `${fail}
dir=$1 name=$2 tool=$3 image=$4 policy=$5 open=$6
shift 6
while [ "$open" -gt 0 ]; do
  if [ "$2" = a+rx ]; then find "$1/" -type d -exec chmod a+rx {} +; else chmod "$2" "$1"; fi || exit 128
  shift 2
  open=$((open - 1))
done
if [ "$policy" = always ] || ! "$tool" image exists "$image"; then
  [ "$policy" = never ] && fail ErrImageNeverPull "image $image is not here, and imagePullPolicy is Never"
  said=$("$tool" pull --quiet "$image" 2>&1) || fail ErrImagePull "image $image cannot be pulled: $said"
fi
exec "$@"
`

/**
 * A probe or hook may come before the container is there. The mark is that of session.pl: what Podman starts is no
 * child of its own. Arguments: file with the id of Podman, tool, container.
 */
const enterPodman = `
leader=$1 tool=$2 instance=$3
shift 3
until [ -s "$leader" ]; do sleep 0.1; done
read -r pid <"$leader"
until [ "$("$tool" container inspect --format '{{.State.Running}}' "$instance" 2>/dev/null)" = true ]; do
  kill -0 "$pid" 2>/dev/null || { echo 'the container is not running' >&2; exit 126; }
  sleep 0.1
done
terminal=
[ ! -t 0 ] || terminal=--tty
exec "$tool" exec --interactive $terminal --env "INTERLINK_SESSION=$$.$(cut -d ' ' -f 22 "/proc/$$/stat")" "$instance" "$@"
`

/**
 * The processes that a container is to see: those of another one of Podman's, or of the machine, where all others run.
 * Arguments: Podman, the name of the other, what follows in a call of Podman.
 */
const seeProcesses = `
tool=$1 target=$2
shift 2
view=host
! "$tool" container exists "$target" || view=container:$target
exec "$tool" run "--pid=$view" "$@"
`

/**
 * See apptainer-exec(1): nothing of the machine but what is asked for. `placements` are those that Apptainer is to
 * make; the machine's `/dev` is the container's.
 */
export function apptainerLaunch(
  rendering: Rendering,
  { tool, image }: Extract<Runtime, { kind: 'apptainer' }>,
  placements: readonly Placement[]
): Launch | readonly Refusal[] {
  const { container, dir, machine, plan, field } = rendering
  const variables = runtimeVariables(plan.pod, container)
  const refused = refuseForApptainer(variables, field)
  if (refused) return [refused]
  const home = variables.find(({ name }) => name === 'HOME')?.value
  if (home !== undefined && !/^\/[^:,]*$/.test(home))
    return [{ field: `${field}.env`, message: `HOME is to be an absolute path without ":" and ","` }]
  const remote = !image.startsWith('/')
  const file = remote ? join(dir, 'c', container.name, 'image.sif') : image
  const shown = container.runAs.user === 0 && machine.namespaces ? 0 : machine.uid
  const { user = shown, group } = container.runAs
  const mounts = bindMounts(rendering, placements, 'source', 'destination')
  return {
    run: [
      ...mounts.ready,
      ...(remote
        ? [
            ...[machine.shell, '-c', pullForApptainer, 'pull', dir, container.name, tool, image],
            ...[container.pullPolicy === 'Always' ? 'always' : 'missing', file]
          ]
        : []),
      ...(container.tty && machine.uid === 0 && machine.namespaces
        ? [machine.shell, '-c', layOverConsole, 'terminal']
        : []),
      tool,
      '--silent',
      container.command ? 'exec' : 'run',
      ...(machine.uid === 0 && !machine.wholeRoot ? ['--userns'] : []),
      '--contain',
      '--bind',
      '/dev',
      '--no-home',
      '--cleanenv',
      '--no-eval',
      ...(has(container, 'nvidia.com/') ? ['--nv'] : []),
      ...(has(container, 'amd.com/') ? ['--rocm'] : []),
      ...(container.readOnlyRoot ? [] : ['--writable-tmpfs']),
      '--pwd',
      container.workingDir ?? '/',
      ...mounts.options,
      file,
      ...(container.command ?? []),
      ...(container.args ?? [])
    ],
    toolEnvironment: [
      ...machine.runtimeEnvironment,
      ...variables.flatMap(({ name, value }) =>
        name === 'HOME' ? [{ name: 'APPTAINER_HOME', value }] : [{ name: `${prefix}${name}`, value }]
      )
    ],
    enter: machine.perl
      ? [
          machine.perl,
          join(dir, 'join.pl'),
          join(dir, 'run', `${container.name}.pid`),
          instanceMark(plan.pod, container)
        ]
      : [
          machine.shell,
          '-c',
          'echo "a container of Apptainer is entered with perl; install it" >&2; exit 126'
        ],
    notices:
      user === shown && (group ?? machine.gid) === machine.gid
        ? []
        : [
            {
              reason: 'UserNotMapped',
              message: `container ${container.name} runs under the site's account, as Apptainer maps no other uid and gid`
            }
          ]
  }
}

/** See podman-run(1). Values of the environment stand on no command line. */
export function podmanLaunch(
  rendering: Rendering,
  { tool, image }: Extract<Runtime, { kind: 'podman' }>
): Launch | readonly Refusal[] {
  const { container, plan, machine, dir, field } = rendering
  const { user, group } = container.runAs
  if (plan.sharesProcesses && plan.containers.length > 1)
    return [
      {
        field: 'spec.shareProcessNamespace',
        message: 'Podman gives each container a process namespace of its own; remove it'
      }
    ]
  const instance = `interlink-${plan.pod.uid}-${container.name}`
  const variables = runtimeVariables(plan.pod, container)
  const odd = variables.filter(
    ({ name, value }) =>
      /\n|\r$/.test(value) || /^#|\s/.test(name) || Buffer.byteLength(name + value) > longestLine
  )
  const refused = odd.filter(({ name }) => steersPodman.test(name) || name.endsWith('*'))
  if (refused.length > 0)
    return [
      {
        field: `${field}.env`,
        message: `Podman takes values of several lines or more than ${longestLine} bytes only in its own environment, where ${refused.map(({ name }) => name).join(', ')} would change what it does; use other names or files`
      }
    ]
  const identity =
    user === undefined && group === undefined
      ? []
      : [
          '--user',
          `${user ?? 0}:${group ?? 0}`,
          ...(machine.uid === 0 ? [] : [`--userns=keep-id:uid=${user ?? 0},gid=${group ?? 0}`])
        ]
  const foreign = machine.uid === 0 && user !== 0
  const opened = foreign ? openedPaths(rendering) : []
  const policy = { Always: 'always', IfNotPresent: 'missing', Never: 'never' }[container.pullPolicy]
  const mounts = bindMounts(rendering, placementsOf(rendering), 'src', 'dst')
  return {
    run: [
      ...mounts.ready,
      ...[machine.shell, '-c', pullForPodman, 'pull', dir, container.name, tool, image, policy],
      String(opened.length),
      ...opened.flat(),
      ...(container.target === undefined
        ? [tool, 'run']
        : [
            ...[machine.shell, '-c', seeProcesses, 'see', tool],
            `interlink-${plan.pod.uid}-${container.target}`
          ]),
      '--rm',
      '--replace',
      '--quiet',
      '--name',
      instance,
      '--pull=never',
      '--network=host',
      '--no-hosts',
      '--hostname',
      plan.pod.hostname,
      '--log-driver=none',
      '--stop-signal',
      container.stopSignal,
      ...identity,
      ...(container.stdin ? ['--interactive'] : []),
      ...(container.tty ? ['--tty'] : []),
      ...(container.readOnlyRoot ? ['--read-only', '--read-only-tmpfs=false'] : []),
      ...(container.workingDir ? ['--workdir', container.workingDir] : []),
      '--env-file',
      join(dir, 'c', container.name, 'podman.env'),
      ...odd.flatMap(({ name }) => ['--env', name]),
      ...mounts.options,
      ...deviceNodes(container).flatMap((path) => ['--device', path]),
      ...(container.command ? ['--entrypoint', JSON.stringify(container.command)] : []),
      image,
      ...(container.args ?? [])
    ],
    toolEnvironment: [...machine.runtimeEnvironment, ...odd],
    files: [
      {
        name: 'podman.env',
        text: variables
          .filter((variable) => !odd.includes(variable))
          .map(({ name, value }) => `${name}=${value}\n`)
          .join('')
      }
    ],
    enter: [
      ...[machine.shell, '-c', enterPodman, 'enter'],
      ...[join(dir, 'run', `${container.name}.pid`), tool, instance]
    ],
    notices: []
  }
}

const has = ({ devices = [] }: PlannedContainer, vendor: string): boolean =>
  devices.some(({ resource }) => resource.startsWith(vendor))

const deviceNodes = ({ devices = [] }: PlannedContainer): string[] => [
  ...new Set(devices.flatMap(({ paths }) => paths))
]

/** What a container writes or reads of its job's directory, and how it is opened: "a+rx" goes for directories below as well. */
const openedPaths = ({ plan, dir, container }: Rendering): (readonly [string, string])[] => [
  [join(dir, 'message', container.name), 'a+rw'],
  [join(dir, 'hosts'), 'a+r'],
  ...plan.volumes
    .filter(({ name, kind }) => kind !== 'hostPath' && container.mounts.some(({ volume }) => volume === name))
    .map(({ name, kind }) => [join(dir, 'volumes', name), kind === 'emptyDir' ? 'a+rwx' : 'a+rx'] as const)
]

/** The mounts of a runtime, and what makes the parts of volumes among them ready. */
function bindMounts(
  { dir, machine, container }: Rendering,
  placements: readonly Placement[],
  source: string,
  target: string
): { readonly ready: readonly string[]; readonly options: readonly string[] } {
  const parts = placements.filter(({ subPath }) => subPath !== undefined)
  const own = join(dir, 'c', container.name, 'sub')
  const options = placements.flatMap((placement) => {
    const part = parts.indexOf(placement)
    const from = part < 0 ? placement.source : join(own, String(parts.length - 1 - part))
    return ['--mount', bindMount({ ...placement, source: from }, [source, target])]
  })
  const pairs = parts.flatMap(({ source: volume, subPath }) => [volume, subPath!])
  const prepare = [machine.shell, '-c', resolveSubPaths, 'parts', dir, container.name, String(parts.length)]
  return { ready: parts.length > 0 ? [...prepare, ...pairs] : [], options }
}
