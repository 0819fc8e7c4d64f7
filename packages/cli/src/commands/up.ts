import { mkdtemp, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { ownDirectory } from '@interlink-ts/interlink-api/config'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { startTelemetry } from '@interlink-ts/interlink-api/telemetry'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { createKubeClient, loadKubeConfig, type KubeClient } from '@interlink-ts/vk-core/kube'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { mayJoin, reachCluster } from '../cluster-access.ts'
import { createLogger } from '../log.ts'
import { createNarrator, type Narrator } from '../narrator.ts'
import { startBacking } from '../roles.ts'
import { UsageError } from '../errors.ts'
import { onInterrupt } from '../interrupt.ts'
import { applyPod, followPod, nodeReady, podsAtWork, podsOnNode, removePod } from '../pod-run.ts'
import { readInput, readPod } from '../read-pod.ts'
import { version } from '../program.ts'
import { parentDirectory, prepareBackend, type UpBackendOptions } from '../up-backend.ts'

interface UpOptions extends UpBackendOptions {
  readonly kubeconfig?: string
  readonly context?: string
  readonly node: string
  /** A file, true for the example, false for none. */
  readonly pod?: string | boolean
  readonly pagePort: number
  readonly exit?: boolean
  readonly logLevel?: string
  readonly logFormat?: string
}

/** What is under way, for the steps that end it in the opposite order. */
interface Session {
  readonly options: UpOptions
  readonly say: Narrator
  readonly log: Logger
  readonly signal: AbortSignal
  readonly cleanups: (() => Promise<unknown>)[]
  dir?: string
  /** The pod that we have made. */
  applied?: Pod
  /** Pods of others go on: neither the node object nor the jobs' directory may go. */
  inUse?: boolean
}

const examplePod = new URL('../../../../examples/hello.yaml', import.meta.url)
/** Of the example pod, where a backend cannot run the machine's own file system. */
const exampleImages: Readonly<Record<string, string>> = { incus: 'busybox' }

/** `interlink up`: every role in this process, an example pod followed to its end, then on until Ctrl-C. */
export async function up(options: UpOptions): Promise<void> {
  const log = createLogger(options.logLevel ?? 'warn', options.logFormat)
  const say = createNarrator(process.stdout)
  const pod = options.pod === false ? undefined : await podToRun(options)
  const telemetry = await startTelemetry({ serviceName: 'interlink' })
  const interrupted = onInterrupt(
    () => say.note('ending the pods; Ctrl-C again ends at once'),
    () => say.note(`left as they are: the pods that have not ended, and ${session.dir ?? 'nothing else'}`)
  )
  const session: Session = { options, say, log, signal: interrupted.signal, cleanups: [] }
  try {
    const succeeded = await bringUp(session, pod)
    if (options.exit) process.exitCode = succeeded ? 0 : 1
    else await interrupted.done
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
    if (options.exit) process.exitCode = 130
  } finally {
    for (const step of session.cleanups.reverse())
      await step().catch((error) => log.warn({ err: error }, 'clean-up failed'))
    await telemetry?.shutdown()
    interrupted.dispose()
  }
}

/** Whether the pod, if one was to be run, has succeeded. */
async function bringUp(session: Session, pod: Pod | undefined): Promise<boolean> {
  const { options, say, log, signal, cleanups } = session
  say.title(`interlink ${version}`)
  const dir = (session.dir = await workDirectory(session))
  const backend = await prepareBackend(options, { dir, say, cleanups })

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
  const cluster = await reachCluster(kube)
  if (options.kubeconfig) await mayJoin(kube, options.node)
  say.step('cluster', `${kube.server}  ${options.kubeconfig ? cluster : '(in memory)'}`)

  const backing = await startBacking(backend, dir, log)
  cleanups.push(() => backing.close())
  say.step(
    'plugin',
    `${backend.module.name}${options.ssh ? ` by ${options.ssh}` : ''}  ${backing.plugin.url}`
  )
  say.step('api', backing.apiUrl)

  const config = await loadVkConfig({
    env: {},
    overrides: {
      kubeconfig: kubeconfigPath,
      ...(options.context ? { context: options.context } : {}),
      interlink: { url: backing.apiUrl },
      nodes: [{ name: options.node }],
      page: { port: options.pagePort },
      stateDirectory: join(dir, 'node')
    }
  })
  const since = performance.now()
  if (options.kubeconfig) cleanups.push(() => removeNode(kube, session, dir))
  const nodes = await startVirtualNodes(config, { log: log.child({ role: 'vk' }) })
  cleanups.push(() => nodes.close())
  cleanups.push(() => endPods(kube, session))
  await nodeReady(kube, options.node, signal)
  say.step('node', `${options.node}  Ready after ${((performance.now() - since) / 1000).toFixed(1)} s`)
  const pageUrl = nodes.nodes[0]?.pageUrl
  if (pageUrl) say.step('page', pageUrl)
  say.blank()

  const kubectl = `kubectl --kubeconfig ${kubeconfigPath}${options.context ? ` --context ${options.context}` : ''}`
  if (!pod) {
    say.note(`go on with:  ${kubectl} get nodes,pods`)
    return true
  }
  session.applied = await applyPod(kube, pod)
  const outcome = await followPod(kube, session.applied, say, signal)
  say.blank()
  say.note(`page:        ${pageUrl ?? 'off'}`)
  say.note(`go on with:  ${kubectl} get pods -o wide`)
  if (!options.exit) say.note('Ctrl-C ends everything')
  return outcome === 'Succeeded'
}

/** The pod to apply, told to run on this very node. */
async function podToRun(options: UpOptions): Promise<Pod> {
  const file = typeof options.pod === 'string' ? options.pod : fileURLToPath(examplePod)
  const pod = readPod(await readInput(file), file)
  const { spec } = pod
  const image = typeof options.pod === 'string' ? undefined : exampleImages[options.backend]
  return {
    ...pod,
    metadata: { ...pod.metadata, namespace: pod.metadata.namespace ?? 'default' },
    spec: {
      ...spec,
      ...(image && { containers: spec.containers.map((container) => ({ ...container, image })) }),
      nodeSelector: { ...spec.nodeSelector, 'kubernetes.io/hostname': options.node }
    }
  }
}

async function workDirectory(session: Session): Promise<string> {
  const asked = session.options.dir
  if (!asked) {
    const dir = await mkdtemp(join(await parentDirectory(session.options), 'interlink-'))
    session.cleanups.push(
      async () => session.inUse || rm(dir, { recursive: true, force: true, maxRetries: 10 })
    )
    return dir
  }
  const dir = resolve(asked)
  await ownDirectory(dir, 'jobs').catch((error: Error) => {
    throw new UsageError(`--dir: ${dir}: ${error.message}`)
  })
  return dir
}

/** On the in-memory cluster every pod of the node ends with it, on a cluster of somebody's own only ours does. */
async function endPods(kube: KubeClient, { options, applied }: Session): Promise<void> {
  if (options.kubeconfig) return applied && removePod(kube, applied)
  // what a controller makes in the place of a pod that goes must find no room here
  await kube.patch(`/api/v1/nodes/${options.node}`, { spec: { unschedulable: true } }, 'merge')
  await Promise.all((await podsOnNode(kube, options.node)).map((pod) => removePod(kube, pod)))
}

/** Once nobody keeps the node any more: while somebody does, it would be registered anew. */
async function removeNode(kube: KubeClient, session: Session, dir: string): Promise<void> {
  const { node, kubeconfig, backend, config, ssh } = session.options
  const left = await podsAtWork(kube, node)
  session.inUse = left.length > 0
  if (!session.inUse) return void (await kube.delete(`/api/v1/nodes/${node}`))
  session.say.note(`${left.length} pods of others go on on ${node}; take them back by:`)
  const how = `${backend === 'process' ? '' : ` --backend ${backend}`}${config ? ` --config ${config}` : ''}${ssh ? ` --ssh ${ssh}` : ''}`
  session.say.note(`  interlink up --kubeconfig ${kubeconfig} --node ${node}${how} --no-pod --dir ${dir}`)
}
