/** A private Slurm of this machine's packages: its own ports, directories and key; nothing of the system's is touched. */
import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ChildProcess } from 'node:child_process'
import { endTrees } from '../support/end-trees.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { runAtEnd, signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { devicesOf, gresConfiguration, slurmConfiguration, type LabShape } from './lab-configuration.ts'
import { pathOf, pluginLines, slurmdArgv } from './lab-programs.ts'
import { accounts, databaseEnv, installDatabase, startDatabase, writeAccounting } from './lab-accounting.ts'

const call = promisify(execFile)

export type Daemon = 'munged' | 'mariadbd' | 'slurmdbd' | 'slurmctld' | `n${number}`

export interface SlurmLab {
  readonly dir: string
  /** For clients, and for whoever starts them: SLURM_CONF, and a PATH that has them. */
  readonly env: { readonly PATH: string; readonly SLURM_CONF: string }
  readonly nodes: readonly string[]
  /** For the Slurm backend: how it reaches this Slurm. */
  readonly options: { readonly conf: string; readonly bin?: string }
  /** Runs a client of Slurm to its end; resolves with what it printed. */
  run(program: string, ...args: string[]): Promise<string>
  /** SIGKILL, as a crash would. */
  kill(daemon: Daemon): Promise<void>
  /** SIGTERM: what it knows is saved. */
  stop(daemon: Daemon): Promise<void>
  /** Starts what was killed, behind a `prefix` that executes it; resolves when it answers. */
  start(daemon: Daemon, prefix?: readonly string[]): Promise<void>
  /** SIGSTOP and SIGCONT: it is there, but says nothing. */
  pause(daemon: Daemon): void
  resume(daemon: Daemon): void
  /** Ends jobs and daemons at once, and removes the directory. */
  close(): Promise<void>
}

/** Brings up munged, slurmctld and one slurmd per node; resolves when every node is idle. */
export async function startSlurmLab(shape: Partial<LabShape> = {}): Promise<SlurmLab> {
  const full: LabShape = {
    prefix: undefined,
    nodes: 2,
    cpus: 8,
    memoryMiB: 16_000,
    gpus: 4,
    devices: [],
    attributes: '',
    accounting: false,
    skewSeconds: 0,
    extra: [],
    ...shape
  }
  const directory = temporaryDirectory('slurm')
  const dir = directory.path
  const nodes = Array.from({ length: full.nodes }, (_, index) => `n${index + 1}`)
  const [controller = 0, dbd = 0, ...ports] = await freePorts(full.nodes + 2)
  const user = userInfo().username
  const { prefix } = full
  const env = { PATH: pathOf(prefix), SLURM_CONF: join(dir, 'slurm.conf') }
  const devices = makeDevices(dir, devicesOf(full))
  for (const name of ['state', 'log', 'munge', ...nodes.map((node) => `spool/${node}`)])
    await mkdir(join(dir, name), { recursive: true, mode: 0o755 })
  await writeFile(join(dir, 'munge/key'), randomBytes(1024), { mode: 0o400 })
  await writeFile(
    env.SLURM_CONF,
    slurmConfiguration(full, {
      dir,
      user,
      host: hostname().split('.')[0]!,
      controller,
      dbd,
      nodes: nodes.map((name, index) => ({ name, port: ports[index]! }))
    })
  )
  await writeFile(join(dir, 'gres.conf'), gresConfiguration(full, nodes, devices))
  await writeFile(join(dir, 'cgroup.conf'), 'CgroupPlugin=cgroup/v1\n')
  if (full.accounting) await writeAccounting({ dir, user, port: dbd, extra: pluginLines(prefix) })
  await writeFile(join(dir, 'end.sh'), endOf(dir))
  runAtEnd(join(dir, 'end.sh'))

  const running = new Map<Daemon, ChildProcess>()
  const run = async (program: string, ...args: string[]): Promise<string> =>
    (await call(program, args, { env, timeout: 120_000, maxBuffer: 1 << 26 })).stdout
  const socket = join(dir, 'munge/socket')
  const commands = (daemon: Daemon): readonly [string, ...string[]] => {
    if (daemon === 'mariadbd') return startDatabase(dir, user)
    if (daemon === 'slurmdbd' || daemon === 'slurmctld') return [daemon, '-D']
    if (daemon !== 'munged') return slurmdArgv(daemon, prefix)
    const files = ['key-file=key', 'pid-file=pid', 'log-file=log', 'seed-file=seed', 'socket=socket']
    return ['munged', '-F', '--force', ...files.map((file) => `--${file.replace('=', `=${dir}/munge/`)}`)]
  }
  const answers = async (daemon: Daemon): Promise<boolean> => {
    if (daemon === 'munged') return (await call('munge', ['-S', socket, '-n'], { env })).stdout !== ''
    if (daemon === 'mariadbd') return existsSync(databaseEnv(dir).MYSQL_UNIX_PORT)
    if (daemon === 'slurmdbd') return (await run('sacctmgr', '-n', 'list', 'cluster')) !== undefined
    if (daemon === 'slurmctld') return (await run('scontrol', 'ping')).includes('is UP')
    return /^(idle|mixed|allocated)\s*$/m.test(await run('sinfo', '-h', '-n', daemon, '-o', '%T'))
  }
  const isSkewed = (daemon: Daemon) =>
    full.skewSeconds !== 0 && !['munged', 'mariadbd', 'slurmdbd'].includes(daemon)
  const spawnDaemon = (daemon: Daemon, prefix: readonly string[] = []): void => {
    const command = isSkewed(daemon) ? skewed(full.skewSeconds, commands(daemon)) : commands(daemon)
    const [program = '', ...args] = [...prefix, ...command]
    const child = spawnReaped(program, args, {
      env: { ...env, ...databaseEnv(dir) },
      cwd: dir,
      stdio: 'ignore'
    })
    child.once('error', () => {})
    running.set(daemon, child)
  }
  const start = async (daemon: Daemon, prefix?: readonly string[]): Promise<void> => {
    spawnDaemon(daemon, prefix)
    await eventually(() => answers(daemon), { deadlineMs: 120_000, everyMs: 20 })
  }
  const end = async (daemon: Daemon, how: NodeJS.Signals): Promise<void> => {
    const child = running.get(daemon)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    signalGroup(child, 'SIGCONT')
    signalGroup(child, how)
    await gone
  }
  const kill = (daemon: Daemon) => end(daemon, 'SIGKILL')
  const signal = (daemon: Daemon, name: NodeJS.Signals): void => {
    const child = running.get(daemon)
    if (child) signalGroup(child, name)
  }
  const startAccounting = async (): Promise<void> => {
    const [install, ...args] = installDatabase(dir, user)
    await call(install, args, { env, timeout: 180_000 })
    await start('mariadbd')
    await start('slurmdbd')
    await writeFile(join(dir, 'accounts'), accounts(user))
    await run('sh', '-c', 'sacctmgr -i <"$0"', join(dir, 'accounts'))
  }
  const close = async (): Promise<void> => {
    for (const node of nodes) await kill(node as Daemon)
    await call('sh', [join(dir, 'end.sh')]).catch(() => {})
    for (const daemon of ['slurmctld', 'slurmdbd', 'mariadbd', 'munged'] as const) await kill(daemon)
    await directory.remove()
  }
  try {
    await start('munged')
    if (full.accounting) await startAccounting()
    spawnDaemon('slurmctld')
    nodes.forEach((node) => spawnDaemon(node as Daemon))
    await eventually(
      async () =>
        (await run('sinfo', '-h', '-N', '-p', 'debug', '-t', 'idle', '-o', '%N')).trim().split('\n')
          .length === nodes.length,
      { deadlineMs: 120_000, everyMs: 20 }
    )
  } catch (error) {
    const log = await readFile(join(dir, 'log/slurmctld.log'), 'utf8').catch(() => '')
    await close()
    throw new Error(`Slurm did not come up:\n${log}`, { cause: error })
  }
  return {
    dir,
    env,
    nodes,
    options: { conf: env.SLURM_CONF, ...(prefix === undefined ? {} : { bin: join(prefix, 'bin') }) },
    run,
    kill,
    stop: (daemon) => end(daemon, 'SIGTERM'),
    start,
    pause: (daemon) => signal(daemon, 'SIGSTOP'),
    resume: (daemon) => signal(daemon, 'SIGCONT'),
    close
  }
}

/** Timeouts are real ones: only the clock of the day is another. */
const skewed = (seconds: number, command: readonly [string, ...string[]]): readonly [string, ...string[]] => [
  'env',
  'FAKETIME_DONT_FAKE_MONOTONIC=1',
  'faketime',
  '-f',
  `${seconds > 0 ? '+' : ''}${seconds}s`,
  ...command
]

/** Slurm hands out devices only of files that are devices; where none can be made, it counts without files. */
function makeDevices(dir: string, kinds: readonly string[]): readonly string[] | undefined {
  const files: string[] = []
  for (const [kind, device] of kinds.entries()) {
    const count = Number(device.split(':')[2])
    for (let index = 0; index < count; index++) {
      const path = join(dir, `device${kind}-${index}`)
      if (spawnSync('mknod', ['-m', '666', path, 'c', '240', String(index)]).status !== 0) return undefined
    }
    files.push(join(dir, `device${kind}-[0-${count - 1}]`))
  }
  return files
}

/** Steps leave the group of their slurmd: they are found by its working directory, which they keep. */
const endOf = (dir: string): string =>
  endTrees(`for cwd in /proc/[0-9]*/cwd; do
  [ "$(readlink "$cwd")" = '${dir}' ] || continue
  pid=\${cwd#/proc/}; pid=\${pid%/cwd}
  case $(cat "/proc/$pid/comm" 2>/dev/null) in slurmstepd) mine="$mine $pid" ;; esac
done`)
