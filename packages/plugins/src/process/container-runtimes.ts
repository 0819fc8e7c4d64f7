/** Launches for images that another runtime unpacks. */
import type { Launch } from '../kit/backend.ts'
import type { Runtime } from './image.ts'
import { placementsOf, type Rendering } from './render-plan.ts'

/**
 * Runs its arguments in the namespaces of the child of a runtime's process; the first argument is the file with
 * its id. A user namespace is entered only where the child has another one.
 */
const enterChild = `
read -r leader <"$1" || exit 126
shift
for child in $(cat "/proc/$leader/task/$leader/children"); do
  [ "$(readlink "/proc/$child/ns/user")" = "$(readlink /proc/self/ns/user)" ] || set -- --user --preserve-credentials "$@"
  exec nsenter --target "$child" --mount --root --wd "$@"
done
echo 'the container is not running' >&2
exit 126
`

/** See apptainer-exec(1): nothing of the machine but what is asked for, and the environment as it is given. */
export function apptainerLaunch(
  rendering: Rendering,
  { tool, image }: Extract<Runtime, { kind: 'apptainer' }>
): Launch {
  const { container, dir, machine, plan } = rendering
  return {
    run: [
      tool,
      '--silent',
      container.command ? 'exec' : 'run',
      '--contain',
      '--no-home',
      ...(container.readOnlyRoot ? [] : ['--writable-tmpfs']),
      ...(machine.uid === 0 || machine.userNamespaces ? ['--uts', '--hostname', plan.pod.hostname] : []),
      ...(container.workingDir ? ['--pwd', container.workingDir] : []),
      ...bindMounts(rendering, 'source', 'destination'),
      image,
      ...(container.command ?? []),
      ...(container.args ?? [])
    ],
    enter: [machine.shell, '-c', enterChild, 'enter', `${dir}/run/${container.name}.pid`, '--'],
    notices:
      container.runAs.user === undefined && container.runAs.group === undefined
        ? []
        : [
            {
              reason: 'UserNotMapped',
              message: `container ${container.name} runs under the site's account, as Apptainer maps no other uid and gid`
            }
          ]
  }
}

/** See podman-run(1). Values of the environment are taken from the environment, so that they stand on no command line. */
export function podmanLaunch(
  rendering: Rendering,
  { tool, image }: Extract<Runtime, { kind: 'podman' }>
): Launch {
  const { container, plan, machine } = rendering
  const { user, group } = container.runAs
  const instance = `interlink-${plan.pod.uid}-${container.name}`
  const names = new Set(['HOSTNAME', 'INTERLINK_INSTANCE', ...container.env.map(({ name }) => name)])
  const pull = { Always: 'always', IfNotPresent: 'missing', Never: 'never' }[container.pullPolicy]
  const identity =
    user === undefined && group === undefined
      ? []
      : [
          '--user',
          `${user ?? 0}:${group ?? 0}`,
          ...(machine.uid === 0 ? [] : [`--userns=keep-id:uid=${user ?? 0},gid=${group ?? 0}`])
        ]
  return {
    run: [
      tool,
      'run',
      '--rm',
      '--replace',
      '--init',
      '--quiet',
      '--name',
      instance,
      `--pull=${pull}`,
      '--network=host',
      '--no-hosts',
      '--hostname',
      plan.pod.hostname,
      '--log-driver=none',
      '--stop-signal',
      container.stopSignal,
      ...identity,
      ...(container.readOnlyRoot ? ['--read-only', '--read-only-tmpfs=false'] : []),
      ...(container.workingDir ? ['--workdir', container.workingDir] : []),
      ...[...names].flatMap((name) => ['--env', name]),
      ...bindMounts(rendering, 'src', 'dst'),
      ...(container.command ? ['--entrypoint', JSON.stringify(container.command)] : []),
      image,
      ...(container.args ?? [])
    ],
    enter: [tool, 'exec', instance],
    notices:
      container.limits.memoryBytes === undefined
        ? []
        : [
            {
              reason: 'MemoryLimitNotHeld',
              message: `the memory limit of container ${container.name} is not held, as Podman runs it outside of the job`
            }
          ]
  }
}

function bindMounts(rendering: Rendering, source: string, target: string): string[] {
  return placementsOf(rendering).flatMap((placement) => {
    const from = placement.subPath ? `${placement.source}/${placement.subPath}` : placement.source
    const fields = [
      'type=bind',
      field(source, from),
      field(target, placement.path),
      ...(placement.readOnly ? ['ro'] : [])
    ]
    return ['--mount', fields.join(',')]
  })
}

/** Both read the option as a line of CSV, RFC 4180. */
const field = (name: string, value: string): string =>
  /[",\n]/.test(value) ? `"${name}=${value.replaceAll('"', '""')}"` : `${name}=${value}`
