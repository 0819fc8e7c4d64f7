import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { startApi } from '@interlink-ts/interlink-api/server'
import { startPlugin, type BackendModule } from '@interlink-ts/plugins/kit'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { eventually } from './eventually.ts'
import { kubectlEnv, kubectlFor, type Kubectl } from './kubectl.ts'
import type { TestCluster } from './clusters.ts'
import { podOnce } from './pod-once.ts'
import { temporaryDirectory } from './reaper.ts'

/** A cluster with one virtual node, all roles of the product in this process. */
export interface BackendCluster {
  readonly kubectl: Kubectl
  /** Root of the job directories, as the plugin has them. */
  readonly root: string
  /** An object, or YAML. */
  apply(object: object | string): Promise<void>
  /** The first status of a pod from now on that is as wanted; one that passes at once is seen too. */
  until(pod: string, wanted: (status: PodStatus) => unknown, deadlineMs?: number): Promise<PodStatus>
  /** `REASON MESSAGE` of the events of a pod. */
  events(pod: string): Promise<string[]>
}

/** As kubectl prints it; of the first container alone. */
export interface PodStatus {
  readonly phase?: string
  readonly reason?: string
  readonly message?: string
  readonly podIP?: string
  readonly conditions?: readonly {
    readonly type: string
    readonly status: string
    readonly message?: string
  }[]
  readonly containerStatuses?: readonly {
    readonly state: Record<'waiting' | 'running' | 'terminated', State | undefined>
  }[]
}
interface State {
  readonly reason?: string
  readonly message?: string
  readonly exitCode?: number
}

export const stateOf = ({ containerStatuses }: PodStatus, kind: 'waiting' | 'running' | 'terminated') =>
  containerStatuses?.[0]?.state[kind]

/**
 * What starts clusters whose node `name` is a backend; each ends with its test. The cluster is embedded unless there
 * is one.
 */
export const clustersOf =
  (module: BackendModule) =>
  async (
    t: Test,
    options: Record<string, unknown>,
    name = 'interlink',
    existing?: Pick<TestCluster, 'kubeconfigPath' | 'kubectl' | 'env'>
  ): Promise<BackendCluster> => {
    const directory = temporaryDirectory('backend-cluster')
    const dir = directory.path
    t.teardown(() => directory.remove())
    const logger = pino({ level: 'silent' })
    const { kubeconfigPath, kubectl, env } = existing ?? (await embedded(t, dir))
    const listen = `unix://${join(dir, 'plugin.sock')}`
    const root = join(dir, 'jobs')
    const plugin = await startPlugin({
      module,
      config: { listen, root, options, listSeconds: 0.5 },
      log: logger
    })
    t.teardown(() => plugin.close())
    const url = `unix://${join(dir, 'api.sock')}`
    const api = await startApi({ listen: url, plugins: [{ name: module.name, url: listen }] }, { logger })
    t.teardown(() => api.close())
    const nodes = await startVirtualNodes(
      await loadVkConfig({
        env: {},
        overrides: {
          kubeconfig: kubeconfigPath,
          interlink: { url, pingSeconds: 5 },
          nodes: [{ name }],
          page: { port: 0 },
          stateDirectory: join(dir, 'node')
        }
      }),
      { log: logger }
    )
    t.teardown(() => nodes.close())
    await eventually(async () => / Ready /.test((await kubectl(['get', 'node', name])).stdout))
    return {
      kubectl,
      root,
      async apply(object) {
        const input = typeof object === 'string' ? object : JSON.stringify(object)
        const { code, stderr } = await kubectl(['apply', '-f', '-'], { input })
        if (code !== 0) throw new Error(stderr)
      },
      async until(pod, wanted, deadlineMs) {
        const { status } = await podOnce(
          env,
          pod,
          ({ status }) => status && wanted(status as PodStatus),
          deadlineMs
        )
        return status as PodStatus
      },
      async events(pod) {
        const { stdout } = await kubectl(['get', 'events', '-o', 'json'])
        const { items } = JSON.parse(stdout) as {
          items: { reason: string; message: string; type: string; involvedObject: { name: string } }[]
        }
        return items
          .filter(({ involvedObject }) => involvedObject.name === pod)
          .map(({ type, reason, message }) => `${type} ${reason} ${message}`)
      }
    }
  }

async function embedded(t: Test, dir: string) {
  const kubeconfigPath = join(dir, 'kubeconfig')
  const cluster = await startDevCluster({ kubeconfigPath, logger: pino({ level: 'silent' }) })
  t.teardown(() => cluster.close())
  const env = kubectlEnv(kubeconfigPath, dir)
  return { kubeconfigPath, env, kubectl: kubectlFor(env) }
}
