/** Keeps one Node object registered, in shape, and its lease renewed. Level-triggered: any wake-up does all that is due. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LimitFunction } from 'p-limit'
import type { Logger } from 'pino'
import { isConflict, isNotFound, type KubeClient } from '../kube/index.ts'
import type { NodeConfig } from '../config.ts'
import { deferred } from './deferred.ts'
import { leaseRenewMs, renewLease } from './lease.ts'
import { appliedOf, metadataPatch, newNode, statusPatch } from './node-patch.ts'
import { nodeShape, type NodeShape } from './node-shape.ts'
import type { Pinger } from './pinger.ts'
import type { NodeObject, Taint } from './types.ts'
import type { Recurring, Wheel } from './wheel.ts'

export interface NodeKeeperOptions {
  readonly config: NodeConfig
  readonly kube: KubeClient
  readonly pinger: Pinger
  readonly wheel: Wheel
  /** Shared by the nodes of a process, around the writes of one. */
  readonly gate: LimitFunction
  readonly log: Logger
  readonly address: string
  /** Asked at every sync: a listener may have taken a free port. */
  readonly kubeletPort: () => number
  readonly version: string
  readonly now?: () => Date
  /** Told when readiness changed, with the node's uid. */
  readonly onReadiness?: (ready: boolean, uid: string, message: string) => void
}

export interface NodeKeeper {
  readonly name: string
  readonly shape: NodeShape
  readonly object: NodeObject | undefined
  /** Resolves once the node is registered for the first time. */
  readonly registered: Promise<void>
  /** What a watch or a list says of the object; undefined when it is gone. */
  observe(node: NodeObject | undefined): void
  start(): void
  close(): void
}

/** A status is written at least this often, as the kubelet does beside its lease. */
const heartbeatMs = 5 * 60_000
/** Registration waits this long for the first ping, so that a node appears Ready with its true resources. */
const firstPingMs = 1_000
const maxRetryMs = 10_000

export function createNodeKeeper(options: NodeKeeperOptions): NodeKeeper {
  const { config, kube, pinger, wheel, gate, log, address, version } = options
  const { now = () => new Date() } = options
  const path = `/api/v1/nodes/${config.name}`
  const closed = new AbortController()
  const recurring: Recurring[] = []
  const registered = deferred()
  let object: NodeObject | undefined
  let pingTaints: readonly Taint[] | undefined
  let ownedLease: string | undefined
  let lastStatusAt = 0
  let wanted = false
  let syncing = false
  let wasReady: boolean | undefined

  const shape = (): NodeShape =>
    nodeShape({
      config,
      ping: pinger.state,
      address,
      kubeletPort: options.kubeletPort(),
      version,
      pingTaints: pingTaints ?? []
    })

  async function sync(): Promise<void> {
    object ??= await read()
    pingTaints = pinger.state.response?.taints ?? pingTaints ?? (object && appliedOf(object).pingTaints) ?? []
    const time = now()
    if (!object) {
      object = trimmed(
        await kube.create<NodeObject>('/api/v1/nodes', newNode(shape(), config.name, pingTaints, iso(time)))
      )
      lastStatusAt = time.getTime()
      log.info('node registered')
    } else {
      const target = shape()
      const status = statusPatch(object, target, iso(time), time.getTime() - lastStatusAt >= heartbeatMs)
      const metadata = metadataPatch(object, target, pingTaints)
      if (status) {
        object = trimmed(await kube.patch<NodeObject>(`${path}/status`, status, 'strategic'))
        lastStatusAt = time.getTime()
      }
      if (metadata) object = trimmed(await kube.patch<NodeObject>(path, metadata, 'merge'))
    }
    registered.resolve()
    tellReadiness()
  }

  const read = (): Promise<NodeObject | undefined> =>
    kube.get<NodeObject>(path).then(trimmed, (error) => {
      if (isNotFound(error)) return undefined
      throw error
    })

  function tellReadiness(): void {
    const { healthy, error } = pinger.state
    if (healthy === undefined || healthy === wasReady) return
    if (healthy) log.info('node ready')
    else log.warn({ reason: error }, 'node not ready')
    options.onReadiness?.(healthy, object?.metadata.uid ?? '', error ?? '')
    wasReady = healthy
  }

  async function settle(): Promise<void> {
    wanted = true
    if (syncing) return
    syncing = true
    try {
      for (let failures = 0; wanted && !closed.signal.aborted;) {
        wanted = false
        try {
          await gate(sync)
          failures = 0
        } catch (error) {
          wanted = true
          object = undefined
          if (!isConflict(error) && !isNotFound(error))
            log.warn({ reason: textOf(error) }, 'node could not be written')
          await sleep(Math.min(maxRetryMs, 100 * 2 ** failures++), undefined, { signal: closed.signal })
        }
      }
    } catch {
      // closed while waiting
    } finally {
      syncing = false
    }
  }

  async function renew(): Promise<number | undefined> {
    const uid = object?.metadata.uid
    if (!uid) return 500
    try {
      await renewLease(kube, { name: config.name, uid }, now(), ownedLease !== uid)
      ownedLease = uid
      return undefined
    } catch (error) {
      if (!closed.signal.aborted) log.warn({ reason: textOf(error) }, 'lease could not be renewed')
      return 1_000
    }
  }

  async function ping(): Promise<number | undefined> {
    const next = await pinger.ping()
    if (started) void settle()
    return next
  }
  let started = false

  return {
    name: config.name,
    get shape() {
      return shape()
    },
    get object() {
      return object
    },
    registered: registered.promise,
    observe(node) {
      if (node ? object && !isNewer(node, object) : !object) return
      if (!node) log.warn('node object is gone, registering again')
      object = node && trimmed(node)
      void settle()
    },
    start() {
      const firstPing = deferred()
      recurring.push(
        wheel.every(config.interlink.pingSeconds * 1000, 0, () => ping().finally(() => firstPing.resolve()))
      )
      const timeout = sleep(firstPingMs, undefined, { signal: closed.signal, ref: false }).catch(
        () => undefined
      )
      void Promise.race([firstPing.promise, timeout]).then(async () => {
        if (closed.signal.aborted) return
        started = true
        await settle()
        recurring.push(wheel.every(leaseRenewMs, 0, renew))
        recurring.push(wheel.every(heartbeatMs, heartbeatMs, settle))
        if (closed.signal.aborted) for (const one of recurring) one.stop()
      })
    },
    close() {
      closed.abort()
      for (const one of recurring) one.stop()
    }
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A watch may still tell of states before our own last patch. */
function isNewer(seen: NodeObject, known: NodeObject): boolean {
  if (seen.metadata.uid !== known.metadata.uid) return true
  const [a, b] = [Number(seen.metadata.resourceVersion), Number(known.metadata.resourceVersion)]
  return Number.isNaN(a) || Number.isNaN(b)
    ? seen.metadata.resourceVersion !== known.metadata.resourceVersion
    : a > b
}

/** Without what a cluster keeps on a node and nobody here reads. */
function trimmed({ metadata, spec, status }: NodeObject): NodeObject {
  const { name, uid, resourceVersion, labels, annotations } = metadata
  return { metadata: { name, uid, resourceVersion, labels, annotations }, spec, status } as NodeObject
}

const iso = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')
