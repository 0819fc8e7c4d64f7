/**
 * A private Incus of this machine's packages: a directory, a port and images of its own. Root only, as its daemon is.
 * Any number of them are beside each other, each to the others a remote.
 */
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ChildProcess } from 'node:child_process'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { runAtEnd, signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { writeBusyboxImage } from './busybox-image.ts'

const call = promisify(execFile)

const daemon = '/usr/libexec/incus/incusd'
const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))

export interface IncusLab {
  readonly dir: string
  /** Of the daemon's API. */
  readonly socket: string
  /** The same API behind certificates. */
  readonly url: string
  /** PEM, of the server: by it a client knows this one among several. */
  readonly certificate: string
  /**
   * A word by which one client, once, has its certificate trusted.
   * @param projects all that the client then may use; absent: everything
   */
  token(client: string, projects?: readonly string[]): Promise<string>
  /** Runs the daemon's own client to its end; resolves with what it printed. */
  run(...args: string[]): Promise<string>
  /** SIGKILL, as a crash would; instances go on. */
  kill(): Promise<void>
  /** Starts what was killed; resolves when it answers. */
  start(): Promise<void>
  /** Ends instances and daemon at once, and removes the directory. */
  close(): Promise<void>
}

/** Why there can be no lab here, or undefined. */
export function incusMissing(): string | undefined {
  if (!existsSync(daemon)) return `${daemon} is missing; test/incus/install.sh installs it`
  if (busybox === undefined) return 'busybox is missing; apt-get install busybox-static'
  return process.getuid?.() === 0 ? undefined : 'Incus runs as root only'
}

export interface IncusLabOptions {
  /** Instances are on a bridge of the lab's own, which this machine reaches and nobody else. @default false */
  readonly network?: boolean
  /** Words in front of the daemon's own, such as of a program that shows it other hardware. */
  readonly under?: readonly string[]
}

/** Brings up a daemon with a directory pool and the image `busybox`; without a network, instances have a loopback. */
export async function startIncusLab({
  network = false,
  under = []
}: IncusLabOptions = {}): Promise<IncusLab> {
  const directory = temporaryDirectory('incus')
  const home = join(directory.path, 'd')
  const port = await freePort()
  const env = { ...process.env, INCUS_DIR: home, INCUS_CONF: join(directory.path, 'client') }
  const run = async (...args: string[]): Promise<string> => {
    const running = call('incus', args, { env, timeout: 180_000, maxBuffer: 1 << 26 })
    running.child.stdin?.end()
    return (await running).stdout
  }
  // Containers map root to an account that must get through to their files.
  await mkdir(home, { mode: 0o711 })
  await call('chmod', ['711', directory.path])
  // Names of interfaces have at most 15 characters.
  const bridge = `incus-${randomBytes(4).toString('hex')}`
  await writeFile(join(directory.path, 'end.sh'), endOf(home, bridge))
  runAtEnd(join(directory.path, 'end.sh'))

  let child: ChildProcess | undefined
  const start = async (): Promise<void> => {
    const [program = daemon, ...words] = [...under, daemon]
    child = spawnReaped(program, [...words, '--group', 'root', '--logfile', join(home, 'incusd.log')], {
      env,
      stdio: 'ignore'
    })
    await call(daemon, ['waitready', '--timeout=120'], { env })
  }
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    signalGroup(child, 'SIGKILL')
    await gone
  }
  const close = async (): Promise<void> => {
    await kill()
    await call('sh', [join(directory.path, 'end.sh')])
    await directory.remove()
  }
  try {
    await start()
    await preseed(directory.path, env, port)
    if (network) await addBridge(run, bridge)
    const image = join(directory.path, 'busybox.tar.gz')
    await writeBusyboxImage(busybox!, directory.path, image)
    await run('image', 'import', image, '--alias', 'busybox')
  } catch (error) {
    const log = await readFile(join(home, 'incusd.log'), 'utf8').catch(() => '')
    await close()
    throw new Error(`Incus did not come up:\n${log}`, { cause: error })
  }
  return {
    dir: directory.path,
    socket: join(home, 'unix.socket'),
    url: `https://127.0.0.1:${port}`,
    certificate: await readFile(join(home, 'server.crt'), 'utf8'),
    token: async (client, projects) => {
      const restricted = projects ? ['--restricted', `--projects=${projects.join()}`] : []
      return (await run('config', 'trust', 'add', client, '-q', ...restricted)).trim().split('\n').at(-1)!
    },
    run,
    kill,
    start: async () => {
      await start()
      await eventually(() => run('list'))
    },
    close
  }
}

async function preseed(dir: string, env: NodeJS.ProcessEnv, port: number): Promise<void> {
  const file = join(dir, 'preseed.yaml')
  await writeFile(
    file,
    `config: {core.https_address: "127.0.0.1:${port}", images.auto_update_interval: "0"}
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
`
  )
  await call('sh', ['-c', 'incus admin init --preseed <"$0"', file], { env })
}

/** Its addresses are seldom anybody else's, and nothing of this machine's firewall is touched. */
async function addBridge(run: IncusLab['run'], bridge: string): Promise<void> {
  const address = `10.${randomInt(64, 255)}.${randomInt(255)}.1/24`
  const quiet = ['ipv4.nat=false', 'ipv4.firewall=false', 'ipv6.address=none']
  await run('network', 'create', bridge, `ipv4.address=${address}`, ...quiet)
  await run('profile', 'device', 'add', 'default', 'eth0', 'nic', `network=${bridge}`, 'name=eth0')
}

/** Monitors of containers leave the daemon's group; they and what runs in them name its directory. */
const endOf = (home: string, bridge: string): string => `
for cmdline in /proc/[0-9]*/cmdline; do
  pid=\${cmdline#/proc/}; pid=\${pid%/cmdline}
  [ "$pid" = $$ ] && continue
  case $(tr '\\0' ' ' <"$cmdline" 2>/dev/null) in
  *'[lxc monitor] ${home}/'* | *'incusd fork'*'${home}'* | *dnsmasq*'${home}/'*)
    for child in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do kill -KILL "$child" 2>/dev/null; done
    kill -KILL "$pid" 2>/dev/null ;;
  esac
done
ip link delete ${bridge} 2>/dev/null
while grep -q ' ${home}/' /proc/self/mounts; do
  awk -v home='${home}/' 'index($2, home) == 1 { print $2 }' /proc/self/mounts | tac | xargs -r -n 1 umount -l 2>/dev/null || break
done
exit 0
`
