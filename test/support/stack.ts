import { execFile, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { eventually } from './eventually.ts'
import { freePorts } from './free-port.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from './reaper.ts'
import { startRoundRobin } from './round-robin.ts'

export type Role = 'plugin' | 'api-0' | 'api-1' | 'vk'

export interface Stack {
  readonly nodeName: string
  /** Root of the job directories. */
  readonly jobs: string
  readonly dir: string
  readonly pageUrl: string
  /** Base URL of the API servers behind their load balancer. */
  readonly apiUrl: string
  /** SIGKILL, as a crash would. */
  kill(role: Role): Promise<void>
  restart(role: Role): Promise<void>
  /** Resolves when the plugin answers through an API server and the node serves its page. */
  up(): Promise<void>
  pid(role: Role): number
  log(role: Role): Promise<string>
  stop(): Promise<void>
}

export interface StackOptions {
  readonly kubeconfigPath: string
  readonly nodeName?: string
  /** Of the plugin. @default process */
  readonly backend?: string
  /** Merged into the node's entry of the vk configuration. */
  readonly node?: Record<string, unknown>
  /** Merged into the vk configuration. */
  readonly vk?: Record<string, unknown>
  /** Merged into the plugin's configuration. */
  readonly plugin?: Record<string, unknown>
  readonly env?: NodeJS.ProcessEnv
}

const interlink = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))

/**
 * The product as it is deployed: a plugin, two API servers behind a round-robin, and a node, each a process of its
 * own started by the `interlink` command.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const directory = temporaryDirectory('stack')
  const dir = directory.path
  const { backend = 'process', nodeName = 'interlink' } = options
  // the balancer takes its port first, or it might take one of those that are chosen here
  const targets: string[] = []
  const balancer = await startRoundRobin(targets)
  const [api0, api1, kubelet, page] = (await freePorts(4)) as [number, number, number, number]
  targets.push(`http://127.0.0.1:${api0}`, `http://127.0.0.1:${api1}`)
  const jobs = join(dir, 'jobs')
  await mkdir(jobs, { mode: 0o700 })
  const pluginUrl = `unix://${join(dir, 'plugin.sock')}`

  const configs: Record<Role, object> = {
    plugin: { listen: pluginUrl, root: jobs, ...options.plugin },
    'api-0': { listen: `http://127.0.0.1:${api0}`, plugins: [{ name: backend, url: pluginUrl }] },
    'api-1': { listen: `http://127.0.0.1:${api1}`, plugins: [{ name: backend, url: pluginUrl }] },
    vk: {
      kubeconfig: options.kubeconfigPath,
      interlink: { url: balancer.url },
      stateDirectory: join(dir, 'node'),
      nodes: [{ name: nodeName, ...options.node }],
      kubelet: { address: '127.0.0.1', port: kubelet },
      page: { port: page },
      ...options.vk
    }
  }
  const commands: Record<Role, string[]> = {
    plugin: ['plugin', backend],
    'api-0': ['api'],
    'api-1': ['api'],
    vk: ['vk']
  }
  const running = new Map<Role, ChildProcess>()

  const start = async (role: Role): Promise<void> => {
    const config = join(dir, `${role}.yaml`)
    await writeFile(config, stringify(configs[role]), { mode: 0o600 })
    const log = createWriteStream(join(dir, `${role}.log`), { flags: 'a', mode: 0o600 })
    const child = spawnReaped(process.execPath, [interlink, ...commands[role], '--config', config], {
      env: { PATH: process.env.PATH, HOME: dir, POD_IP: '127.0.0.1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    child.stdout!.pipe(log)
    child.stderr!.pipe(log)
    running.set(role, child)
  }
  const kill = async (role: Role): Promise<void> => {
    const child = running.get(role)
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    process.kill(child.pid!, 'SIGKILL')
    await gone
  }

  for (const role of Object.keys(configs) as Role[]) await start(role)
  const stack: Stack = {
    nodeName,
    jobs,
    dir,
    pageUrl: `http://127.0.0.1:${page}`,
    apiUrl: balancer.url,
    kill,
    restart: async (role) => {
      await kill(role)
      await start(role)
    },
    up: async () => {
      const answers = async (url: string) => (await fetch(url)).ok
      await eventually(
        async () => (await answers(`${balancer.url}/readyz`)) && (await answers(`http://127.0.0.1:${page}/`)),
        {
          deadlineMs: 180_000,
          everyMs: 50
        }
      )
    },
    pid: (role) => running.get(role)!.pid!,
    log: (role) => readFile(join(dir, `${role}.log`), 'utf8'),
    stop: async () => {
      for (const role of ['vk', 'api-0', 'api-1', 'plugin'] as const) {
        const child = running.get(role)
        if (!child || child.exitCode !== null || child.signalCode !== null) continue
        const gone = once(child, 'exit')
        signalGroup(child, 'SIGTERM')
        await gone
      }
      await balancer.close()
      await endJobs(jobs)
      await directory.remove()
    }
  }
  try {
    await stack.up()
  } catch (error) {
    const logs = await Promise.all(
      (Object.keys(configs) as Role[]).map((role) => stack.log(role).catch(() => ''))
    )
    await stack.stop()
    throw new Error(`the stack did not come up:\n${logs.join('\n')}`, { cause: error })
  }
  return stack
}

/** Jobs outlive their plugin: what a test has left of them ends here. */
async function endJobs(jobs: string): Promise<void> {
  for (const name of await readdir(jobs).catch(() => [])) {
    const dir = join(jobs, name)
    const beat = await readFile(join(dir, 'state/supervisor'), 'utf8').catch(() => '')
    const pid = Number(/^pid=(\d+)$/m.exec(beat)?.[1])
    if (!pid || existsSync(join(dir, 'state/pod'))) continue
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended already.
    }
    await promisify(execFile)('/bin/sh', [join(dir, 'supervisor.sh'), 'reap', dir]).catch(() => {})
  }
}
