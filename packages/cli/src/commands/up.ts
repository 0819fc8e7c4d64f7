import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { startTelemetry } from '@interlink-ts/interlink-api/telemetry'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { createKubeClient, loadKubeConfig, type KubeClient } from '@interlink-ts/vk-core/kube'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { createLogger } from '../log.ts'
import { createNarrator, type Narrator } from '../narrator.ts'
import { startBacking } from '../roles.ts'
import { onInterrupt } from '../interrupt.ts'
import { applyPod, followPod, nodeReady, podsOnNode, removePod } from '../pod-run.ts'
import { readPod } from '../read-pod.ts'
import { version } from '../program.ts'

interface UpOptions {
  readonly kubeconfig?: string
  readonly context?: string
  readonly node: string
  readonly backend: string
  /** A file, true for the example, false for none. */
  readonly pod?: string | boolean
  readonly pagePort: string
  readonly dir?: string
  readonly exit?: boolean
  readonly logLevel?: string
  readonly logFormat?: string
}

const examplePod = new URL('../../../../examples/hello.yaml', import.meta.url)

/** `interlink up`: every role in this process, an example pod followed to its end, then on until Ctrl-C. */
export async function up(options: UpOptions): Promise<void> {
  const log = createLogger(options.logLevel ?? 'warn', options.logFormat)
  const say = createNarrator(process.stdout)
  const telemetry = await startTelemetry({ serviceName: 'interlink' })
  const cleanups: (() => Promise<unknown>)[] = []
  const interrupted = onInterrupt(() => say.note('ending the pods; Ctrl-C again ends at once'))
  const cleanUp = async () => {
    for (const step of cleanups.reverse())
      await step().catch((error) => log.warn({ err: error }, 'clean-up failed'))
    await telemetry?.shutdown()
  }
  try {
    const started = await bringUp(options, say, log, cleanups, interrupted.signal)
    if (!started) return
    if (options.exit) process.exitCode = started.succeeded ? 0 : 1
    else await interrupted.done
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
  } finally {
    await cleanUp()
    interrupted.dispose()
  }
}

async function bringUp(
  options: UpOptions,
  say: Narrator,
  log: ReturnType<typeof createLogger>,
  cleanups: (() => Promise<unknown>)[],
  signal: AbortSignal
): Promise<{ succeeded: boolean } | undefined> {
  const pod = options.pod === false ? undefined : await podToRun(options)
  say.title(`interlink ${version}`)
  const dir = await workDirectory(options.dir, cleanups)

  const kubeconfigPath = options.kubeconfig ? resolve(options.kubeconfig) : join(dir, 'kubeconfig')
  if (!options.kubeconfig) {
    const cluster = await startDevCluster({ kubeconfigPath, logger: log.child({ role: 'cluster' }) })
    cleanups.push(() => cluster.close())
  }
  const kube = createKubeClient(
    await loadKubeConfig({ path: kubeconfigPath, ...(options.context ? { context: options.context } : {}) }),
    { userAgent: `interlink-up/${version}` }
  )
  cleanups.push(() => kube.close())
  say.step('cluster', options.kubeconfig ? kube.server : `${kube.server}  (in memory)`)

  const backing = await startBacking(options.backend, dir, log)
  cleanups.push(() => backing.close())
  say.step('plugin', `${options.backend}  ${backing.plugin.url}`)
  say.step('api', backing.apiUrl)

  const config = await loadVkConfig({
    env: {},
    overrides: {
      kubeconfig: kubeconfigPath,
      ...(options.context ? { context: options.context } : {}),
      interlink: { url: backing.apiUrl },
      nodes: [{ name: options.node }],
      page: { port: Number(options.pagePort) },
      stateDirectory: join(dir, 'node')
    }
  })
  const since = performance.now()
  const nodes = await startVirtualNodes(config, { log: log.child({ role: 'vk' }) })
  cleanups.push(() => nodes.close())
  cleanups.push(() => endPods(kube, options, pod, say))
  await nodeReady(kube, options.node, signal)
  say.step('node', `${options.node}  Ready after ${((performance.now() - since) / 1000).toFixed(1)} s`)
  const pageUrl = nodes.nodes[0]?.pageUrl
  if (pageUrl) say.step('page', pageUrl)
  say.blank()

  const kubectl = `kubectl --kubeconfig ${kubeconfigPath}`
  if (!pod) {
    say.note(`go on with:  ${kubectl} get nodes,pods`)
    return { succeeded: true }
  }
  await applyPod(kube, pod)
  const outcome = await followPod(kube, pod, say, signal)
  say.blank()
  say.note(`page:        ${pageUrl ?? 'off'}`)
  say.note(`go on with:  ${kubectl} get pods -o wide`)
  if (!options.exit) say.note('Ctrl-C ends everything')
  return { succeeded: outcome === 'Succeeded' }
}

/** The pod to apply, told to run on this very node. */
async function podToRun(options: UpOptions): Promise<Pod> {
  const file = typeof options.pod === 'string' ? options.pod : undefined
  const pod = readPod(await readFile(file ?? examplePod, 'utf8'), file ?? 'examples/hello.yaml')
  return {
    ...pod,
    metadata: { ...pod.metadata, namespace: pod.metadata.namespace ?? 'default' },
    spec: { ...pod.spec, nodeSelector: { ...pod.spec.nodeSelector, 'kubernetes.io/hostname': options.node } }
  }
}

async function workDirectory(
  asked: string | undefined,
  cleanups: (() => Promise<unknown>)[]
): Promise<string> {
  if (!asked) {
    const dir = await mkdtemp(join(tmpdir(), 'interlink-'))
    cleanups.push(() => rm(dir, { recursive: true, force: true, maxRetries: 10 }))
    return dir
  }
  const dir = resolve(asked)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await chmod(dir, 0o700)
  await writeFile(join(dir, '.keep'), '')
  return dir
}

/**
 * On the in-memory cluster every pod of the node ends with it. On a cluster of somebody's own only our example does;
 * the node object goes too unless pods of others still run on it.
 */
async function endPods(
  kube: KubeClient,
  options: UpOptions,
  example: Pod | undefined,
  say: Narrator
): Promise<void> {
  // what a controller makes in the place of a pod that goes must find no room here
  if (!options.kubeconfig)
    await kube.patch(`/api/v1/nodes/${options.node}`, { spec: { unschedulable: true } }, 'merge')
  const mine = options.kubeconfig ? (example ? [example] : []) : await podsOnNode(kube, options.node)
  await Promise.all(mine.map((pod) => removePod(kube, pod)))
  if (!options.kubeconfig) return
  const left = await podsOnNode(kube, options.node)
  if (left.length === 0) await kube.delete(`/api/v1/nodes/${options.node}`)
  else
    say.note(
      `${left.length} pods stay on ${options.node}; run up again with the same --dir to take them back`
    )
}
