import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from './reaper.ts'

const call = promisify(execFile)
const daemon = '/usr/sbin/sshd'

export interface Sshd {
  readonly dir: string
  /** The `ssh` section of a backend’s options. */
  readonly options: {
    readonly host: string
    readonly port: number
    readonly user: string
    readonly keyFile: string
    readonly knownHostsFile: string
  }
  /** Ends every connection, and the daemon. */
  kill(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP to what serves a connection now: the peer is there, but says nothing; new ones are served. */
  freeze(): Promise<void>
  close(): Promise<void>
}

export const sshdMissing = (): string | undefined =>
  existsSync(daemon) ? undefined : 'sshd is missing; apt-get install openssh-server'

/** An sshd on loopback that takes one key, of this account. */
export async function startSshd(env: Readonly<Record<string, string>> = {}): Promise<Sshd> {
  const directory = temporaryDirectory('sshd')
  const dir = directory.path
  const port = await freePort()
  const keygen = (name: string) =>
    call('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)])
  await Promise.all(['host', 'id'].map(keygen))
  const [hostKey, userKey] = await Promise.all(
    ['host.pub', 'id.pub'].map((name) => readFile(join(dir, name), 'utf8'))
  )
  await writeFile(join(dir, 'authorized'), userKey!, { mode: 0o600 })
  await writeFile(join(dir, 'known_hosts'), `[127.0.0.1]:${port} ${hostKey}`, { mode: 0o600 })
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  await writeFile(
    join(dir, 'sshd_config'),
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${join(dir, 'host')}`,
      'PidFile none',
      `AuthorizedKeysFile ${join(dir, 'authorized')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      ...(variables.length > 0 ? [`SetEnv ${variables.join(' ')}`] : []),
      ''
    ].join('\n')
  )
  if (process.getuid!() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  let child: ReturnType<typeof spawnReaped> | undefined
  const start = async () => {
    child = spawnReaped(daemon, ['-D', '-f', join(dir, 'sshd_config'), '-E', join(dir, 'log')], {
      stdio: 'ignore'
    })
    await eventually(() => answers(port), { deadlineMs: 180_000, everyMs: 20 })
  }
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    // Sessions leave the group of the daemon.
    for (const pid of await descendants(child.pid!)) trySignal(pid, 'SIGKILL')
    signalGroup(child, 'SIGKILL')
    await gone
  }
  await start()
  return {
    dir,
    options: {
      host: '127.0.0.1',
      port,
      user: userInfo().username,
      keyFile: join(dir, 'id'),
      knownHostsFile: join(dir, 'known_hosts')
    },
    kill,
    start,
    freeze: async () => {
      for (const pid of await descendants(child!.pid!)) trySignal(pid, 'SIGSTOP')
    },
    close: () => kill().then(() => directory.remove())
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** The sshd processes that serve a connection; not what runs in their sessions. */
async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await call('ps', ['-eo', 'pid=,ppid=,comm='])
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  const below = (parent: number): number[] =>
    rows
      .filter(([, ppid, comm]) => Number(ppid) === parent && comm!.startsWith('sshd'))
      .flatMap(([child]) => [Number(child), ...below(Number(child))])
  return below(pid)
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}
