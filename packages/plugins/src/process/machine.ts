/** What this machine has to run containers with; found once, at start. */
import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Variable } from '../kit/backend.ts'
import type { ProcessOptions } from './options.ts'

const call = promisify(execFile)

/** Absolute paths of the tools that make a mount namespace; see unshare(1), nsenter(1), mount(8), pivot_root(8). */
export interface NamespaceTools {
  readonly unshare: string
  readonly nsenter: string
}

export interface Machine {
  readonly uid: number
  readonly gid: number
  readonly shell: string
  /** Absent where mount namespaces cannot be made; `why` says what is in the way. */
  readonly namespaces?: NamespaceTools
  readonly why?: string
  /** A user namespace can be made, so that a container sees the uid it asks for. */
  readonly userNamespaces: boolean
  /** Images can be laid under a writable layer of the container's own. */
  readonly overlay: boolean
  readonly apptainer?: string
  readonly podman?: string
  readonly perl?: string
  /** Variables of the site for Apptainer and Podman. */
  readonly runtimeEnvironment: readonly Variable[]
  /** This account is root and lacks none of root's capabilities, capabilities(7). */
  readonly wholeRoot: boolean
}

/** Where system tools are, for accounts whose PATH leaves out sbin. */
const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export async function findMachine(options: ProcessOptions): Promise<Machine> {
  const uid = process.getuid!()
  const gid = process.getgid!()
  const [unshare, nsenter, perl, apptainer, podman] = await Promise.all([
    findTool('unshare'),
    findTool('nsenter'),
    findTool('perl'),
    options.images.apptainer ?? findTool('apptainer').then((found) => found ?? findTool('singularity')),
    options.images.podman ?? findTool('podman')
  ])
  const base = {
    uid,
    gid,
    shell: options.shell,
    runtimeEnvironment: Object.entries(options.images.environment).map(([name, value]) => ({ name, value })),
    wholeRoot: uid === 0 && (await hasEveryCapability()),
    ...(perl ? { perl } : {}),
    ...(apptainer ? { apptainer } : {}),
    ...(podman ? { podman } : {})
  }
  const none = { userNamespaces: false, overlay: false }
  if (!unshare || !nsenter)
    return { ...base, ...none, why: 'unshare and nsenter are missing; install util-linux' }
  const user = [unshare, '--user', '--map-root-user', '--mount']
  const userNamespaces = await works([
    ...user,
    unshare,
    '--user',
    '--mount',
    `--map-user=${uid || 1000}`,
    `--map-group=${gid || 1000}`,
    'true'
  ])
  const plain = uid === 0 && (await works([unshare, '--mount', 'true']))
  if (!userNamespaces && !plain)
    return {
      ...base,
      ...none,
      why: 'this account may make no user namespace; set kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0 and kernel.apparmor_restrict_unprivileged_userns=0 (sysctl)'
    }
  const missing = await missingTools()
  if (missing.length > 0)
    return { ...base, ...none, userNamespaces, why: `${missing.join(', ')} missing; install util-linux` }
  const overlay = await overlayWorks(plain ? [unshare, '--mount'] : user)
  return { ...base, namespaces: { unshare, nsenter }, userNamespaces, overlay }
}

/** What Apptainer asks for when it is run by root. */
async function hasEveryCapability(): Promise<boolean> {
  const [status, last] = await Promise.all([
    readFile('/proc/self/status', 'utf8'),
    readFile('/proc/sys/kernel/cap_last_cap', 'utf8')
  ])
  const bounds = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return bounds === (1n << BigInt(Number(last) + 1)) - 1n
}

async function missingTools(): Promise<string[]> {
  const tools = ['mount', 'umount', 'pivot_root', 'mkdir', 'ln', 'cat']
  const found = await Promise.all(tools.map(findTool))
  return tools.filter((_, index) => !found[index])
}

async function overlayWorks(enter: readonly string[]): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-overlay-')).catch(() => undefined)
  if (!dir) return false
  try {
    const script =
      'cd "$1" && mkdir lower upper work all && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work all'
    return await works([...enter, '/bin/sh', '-c', script, 'overlay', dir])
  } finally {
    await rm(dir, { recursive: true, force: true }).catch(() => {})
  }
}

const works = ([file, ...args]: readonly string[]): Promise<boolean> =>
  call(file!, args, { timeout: 10_000, env: { PATH: toolPath } }).then(
    () => true,
    () => false
  )

/** The absolute path of a program of PATH, or of where system tools are. */
export async function findTool(name: string): Promise<string | undefined> {
  for (const dir of `${process.env.PATH ?? ''}${delimiter}${toolPath}`.split(delimiter)) {
    const path = join(dir || '.', name)
    const found = await access(path, constants.X_OK).then(
      () => stat(path),
      () => undefined
    )
    if (found?.isFile() && path.startsWith('/')) return path
  }
  return undefined
}
