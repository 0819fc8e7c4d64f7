import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import type { ControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { signalGroup, spawnReaped } from '../support/reaper.ts'

const interlink = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))

export interface NodeProcess {
  pid: number
  /** `performance.now()` at its start. */
  startedAt: number
  log(): Promise<string>
  /** SIGKILL: pods and node stay as they are. */
  kill(): Promise<void>
}

export interface Product {
  /** Starts the process of all these nodes; the one before must have been killed. */
  startNode(): Promise<NodeProcess>
  stop(): Promise<void>
}

/** An API server in front of the plugin, and what is needed to start the node's process, all built from this checkout. */
export async function startProduct(
  cluster: Pick<ControlPlane, 'dir' | 'kubeconfigPath'>,
  pluginUrl: string,
  nodes: readonly string[]
): Promise<Product> {
  const [apiPort, kubeletPort] = (await freePorts(2)) as [number, number]
  const apiUrl = `http://127.0.0.1:${apiPort}`
  const running = new Set<ChildProcess>()

  const start = async (role: string, config: object): Promise<ChildProcess> => {
    const file = join(cluster.dir, `${role}.yaml`)
    await writeFile(file, stringify(config), { mode: 0o600 })
    const child = spawnReaped(interlink, [role, '--config', file], {
      env: { PATH: process.env.PATH, HOME: cluster.dir, POD_IP: '127.0.0.1', NODE_ENV: 'production' },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    const log = createWriteStream(join(cluster.dir, 'log', `${role}.log`), { flags: 'a' })
    child.stdout!.pipe(log)
    child.stderr!.pipe(log)
    running.add(child)
    child.once('exit', () => running.delete(child))
    return child
  }
  const kill = async (child: ChildProcess): Promise<void> => {
    if (!running.has(child)) return
    const ended = once(child, 'exit')
    signalGroup(child, 'SIGKILL')
    await ended
  }

  await start('api', { listen: apiUrl, plugins: [{ name: 'instant', url: pluginUrl }] })
  await eventually(async () => (await fetch(`${apiUrl}/readyz`)).ok)
  return {
    async startNode() {
      const startedAt = performance.now()
      const child = await start('vk', {
        kubeconfig: cluster.kubeconfigPath,
        interlink: { url: apiUrl },
        defaults: { resources: { cpu: '100000', memory: '100Ti', pods: '100000' } },
        nodes: nodes.map((name) => ({ name })),
        kubelet: { address: '127.0.0.1', port: kubeletPort },
        page: false
      })
      return {
        pid: child.pid!,
        startedAt,
        log: () => readFile(join(cluster.dir, 'log', 'vk.log'), 'utf8'),
        kill: () => kill(child)
      }
    },
    async stop() {
      await Promise.all([...running].map(kill))
    }
  }
}
