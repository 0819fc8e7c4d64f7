/** Keeps the pods of one node and the jobs of its backend one and the same. */
import type { LimitFunction } from 'p-limit'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { InterlinkError } from '@interlink-ts/interlink-api/errors'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import type { Pod, PodRef, PodStatus } from '@interlink-ts/interlink-api/wire'
import { systemClock, type Clock } from '../kube/clock.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Log } from '../kube/log.ts'
import type { Change } from '../kube/reflector.ts'
import type { KubeClient } from '../kube/types.ts'
import { createWorkQueue, type WorkQueueStats } from '../kube/work-queue.ts'
import { isTerminal } from '../model/phase.ts'
import { same } from '../model/status-patch.ts'
import { formatSeconds } from '../model/times.ts'
import { allowDaemonSetAnnotation, type PodContext, type PodManagerConfig } from './context.ts'
import { adopt, tellBackoff } from './creation.ts'
import { createPodTeller } from './pod-events.ts'
import { createPodMetrics } from './pod-metrics.ts'
import type { PodObjects } from './pod-objects.ts'
import type { PodSource } from './pod-source.ts'
import { createPodStore } from './pod-store.ts'
import { createPodView } from './pod-view.ts'
import { reconcile } from './reconcile.ts'
import { allEnded, describePod, isMirror, jobIdAnnotation, type PodRecord } from './record.ts'
import { createStatusFeed } from './status-feed.ts'
import { newer, writeStatus } from './status-writer.ts'
import type { PodView } from './types.ts'

export interface PodManagerOptions {
  readonly kube: KubeClient
  readonly interlink: InterlinkClient
  readonly nodeName: string
  /** The node's address, asked each time: it may be known late. */
  readonly nodeIP: () => string
  /** The node's allocatable, for limits that pods do not set. */
  readonly allocatable: () => Readonly<Record<string, string>>
  readonly recorder: EventRecorder
  /** Shared by the nodes of a process: `createPodSource`, `createPodObjects`. */
  readonly source: PodSource
  readonly objects: PodObjects
  /** Shared as well: bounds of the calls under way in the whole process. */
  readonly limits?: { readonly backend: LimitFunction; readonly status: LimitFunction }
  readonly config?: PodManagerConfig
  readonly metrics?: Metrics
  readonly clock?: Clock
  readonly log: Log
}

interface BackendPing {
  readonly capabilities?: Iterable<string>
  readonly backend?: string
}

export interface PodManager {
  /** Resolves when the node's pods have been listed. */
  start(): Promise<void>
  /** Lets running calls end; nothing is undone, everything is found again at the next start. */
  stop(): Promise<void>
  readonly view: PodView
  queueStats(): { readonly lifecycle: WorkQueueStats; readonly status: WorkQueueStats; readonly pods: number }
  /** To be called after every ping that succeeded, with what the backend says it offers. */
  onBackendReachable(ping?: BackendPing): void
}

/** A pod that is running sooner than this is told of in one patch. */
const firstStatusMs = 1000
/** What others have changed is put right after a moment, so that two that disagree do not race. */
const repairMs = 500

/** Reasons for which a kubelet warns, and one of ours. Source: kubernetes/pkg/kubelet/events. */
const warns = /^(Unhealthy|BackOff|Failed|ProbeWarning|QuotedArgument)/

const within = <T>(limit: LimitFunction | undefined, work: () => Promise<T>): Promise<T> =>
  limit ? limit(work) : work()

export function createPodManager(options: PodManagerOptions): PodManager {
  const { kube, interlink, nodeName, nodeIP, allocatable, config = {}, clock = systemClock, log } = options
  const { objects, recorder, source } = options
  const store = createPodStore()
  const teller = createPodTeller(recorder)
  const metrics = createPodMetrics(options.metrics, nodeName)
  let synced = false
  let stopped = false
  let pendingPing: BackendPing | undefined
  let backend: string | undefined
  /** Pods whose backend was away when they were tried. */
  const held = new Set<string>()
  /** Jobs without a pod that are not deleted yet; tried at every ping. */
  const orphans = new Map<string, PodRef>()

  const feed = createStatusFeed({
    client: interlink,
    node: nodeName,
    clock,
    log,
    intervalMs: config.statusIntervalMs ?? 5000,
    wanted: () =>
      store
        .all()
        .filter(isAsked)
        .map((record) => record.pod),
    onStatus,
    onGone,
    onSnapshot
  })
  const context: PodContext = {
    kube,
    interlink,
    nodeName,
    nodeIP,
    allocatable,
    config,
    clock,
    log,
    teller,
    objects,
    feed,
    backend: () => backend,
    changed: (record, afterMs = 0) => {
      statuses.addAfter(record.uid, afterMs)
      store.emit(record.uid)
    }
  }

  const lifecycle = createWorkQueue({
    concurrency: config.backendCalls ?? 16,
    clock,
    work: (uid) => within(options.limits?.backend, () => metrics.timed('lifecycle', () => step(uid))),
    onError(uid, error, failures, retryMs) {
      const record = store.get(uid)
      if (!record || stopped) return
      if (error instanceof InterlinkError && error.status === 503) held.add(uid)
      const settled = record.job === 'submitted' || record.vanished || record.pod.metadata.deletionTimestamp
      if (settled)
        log.warn({ ...describePod(record.pod), err: error, failures, retryMs }, 'backend call failed')
      else tellBackoff(context, record, error, retryMs)
    }
  })
  const statuses = createWorkQueue({
    concurrency: config.statusPatches ?? 24,
    clock,
    async work(uid) {
      const record = store.get(uid)
      if (!record || isMirror(record.pod)) return
      const written = await within(options.limits?.status, () =>
        metrics.timed('status', () => writeStatus(context, record))
      )
      if (!written) return
      metrics.patched()
      store.emit(uid)
      // Finished while it was being deleted, or lost: there is more to do.
      if (isTerminal(record.pod.status?.phase)) lifecycle.add(uid)
    },
    onError(uid, error, failures, retryMs) {
      const record = store.get(uid)
      if (record)
        log.warn({ ...describePod(record.pod), err: error, failures, retryMs }, 'status not written')
    }
  })

  async function step(uid: string) {
    const record = store.get(uid)
    if (!record) return undefined
    const leaving = record.vanished
    const again = await reconcile(context, record, async () => {
      if (await writeStatus(context, record)) metrics.patched()
    })
    held.delete(uid)
    if (leaving && (record.stopped || record.job === 'absent')) {
      store.delete(uid)
      lifecycle.forget(uid)
      statuses.forget(uid)
    }
    return again
  }

  function onPod(change: Change<Pod>) {
    const pod = change.object
    const uid = pod.metadata.uid ?? ''
    const known = store.get(uid)
    if (change.type === 'deleted') {
      if (!known) return
      known.pod = pod
      known.vanished = true
      store.emit(uid)
      return lifecycle.add(uid)
    }
    if (!known) return welcome(pod)
    if (!newer(pod, known.pod)) return
    const before = known.pod
    known.pod = pod
    if (before.metadata.resourceVersion === pod.metadata.resourceVersion) return
    store.emit(uid)
    const { metadata, spec } = before
    if (
      metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
      metadata.deletionGracePeriodSeconds !== pod.metadata.deletionGracePeriodSeconds ||
      spec.activeDeadlineSeconds !== pod.spec.activeDeadlineSeconds ||
      spec.ephemeralContainers?.length !== pod.spec.ephemeralContainers?.length ||
      metadata.annotations?.[allowDaemonSetAnnotation] !==
        pod.metadata.annotations?.[allowDaemonSetAnnotation]
    ) {
      lifecycle.add(uid)
    }
    const touched = !same(before.status, pod.status) || metadata.generation !== pod.metadata.generation
    if (touched) statuses.addAfter(uid, repairMs)
  }

  function welcome(pod: Pod) {
    const uid = pod.metadata.uid ?? ''
    const jobId = pod.metadata.annotations?.[jobIdAnnotation]
    const record: PodRecord = {
      uid,
      pod,
      vanished: false,
      // A pod that appears while we watch cannot have been submitted by anybody else.
      job: jobId !== undefined ? 'submitted' : synced ? 'absent' : 'unknown',
      jobId,
      remote: undefined,
      verdict: undefined,
      waiting: undefined,
      missingSince: undefined,
      createError: undefined,
      stopAsked: undefined,
      stopAskedAt: 0,
      stopped: false,
      seenAt: formatSeconds(clock.now()),
      inherited: !synced,
      added: new Set(),
      notAdded: new Map(),
      told: new Set(),
      events: [],
      onObjectChange: () => lifecycle.add(uid)
    }
    store.add(record)
    store.emit(uid)
    if (isMirror(pod)) return
    if (!isTerminal(pod.status?.phase) || pod.metadata.deletionTimestamp) lifecycle.add(uid)
    if (!isTerminal(pod.status?.phase)) statuses.addAfter(uid, firstStatusMs)
  }

  function onStatus(status: PodStatus) {
    const record = store.get(status.UID)
    if (!record) return
    const first = record.remote === undefined
    record.missingSince = undefined
    if (record.job !== 'submitted') adopt(context, record, status.JID)
    else record.jobId = status.JID || record.jobId
    if (!first && same(record.remote, status)) return
    record.remote = status
    tellNotices(record, status, first)
    if (record.pod.metadata.deletionTimestamp && allEnded(status)) lifecycle.add(record.uid)
    statuses.add(record.uid)
    store.emit(record.uid)
  }

  function tellNotices(record: PodRecord, status: PodStatus, first: boolean) {
    const old = first && record.inherited && record.pod.status?.phase !== 'Pending'
    for (const { reason, message } of status.notices ?? []) {
      const key = `${reason}\0${message}`
      if (record.told.has(key)) continue
      record.told.add(key)
      if (!old) teller.tell(record.pod, warns.test(reason) ? 'Warning' : 'Normal', reason, message)
    }
  }

  function onGone(uid: string) {
    const record = store.get(uid)
    if (!record) return
    if (record.job === 'unknown') {
      record.job = 'absent'
      return lifecycle.add(uid)
    }
    if (record.stopAsked !== undefined || record.pod.metadata.deletionTimestamp) {
      record.stopped = true
      return lifecycle.add(uid)
    }
    if (record.job !== 'submitted' || allEnded(record.remote)) return
    if (record.missingSince === undefined) record.missingSince = clock.now()
    lifecycle.add(uid)
  }

  function onSnapshot(jobs: ReadonlyMap<string, PodStatus>) {
    for (const record of store.all()) if (!jobs.has(record.uid)) onGone(record.uid)
    for (const [uid, status] of jobs) {
      // Without the node's name on it the job may be another node's.
      if (status.nodeName === nodeName && !store.get(uid)) rememberOrphan(status)
    }
    deleteOrphans()
  }

  /** A job of this node whose pod was deleted while nobody looked. */
  function rememberOrphan({ UID: uid, name, namespace }: PodStatus) {
    log.warn({ node: nodeName, uid }, 'job without a pod, deleting it')
    const deletionTimestamp = formatSeconds(clock.now())
    orphans.set(uid, { metadata: { uid, name, namespace, deletionTimestamp, deletionGracePeriodSeconds: 0 } })
  }

  function deleteOrphans() {
    for (const [uid, ref] of orphans) {
      interlink.delete(ref, { node: nodeName }).then(
        () => orphans.delete(uid),
        (error) => log.warn({ node: nodeName, uid, err: error }, 'job without a pod not deleted')
      )
    }
  }

  /** Whom a backend without a watch is asked about. */
  const isAsked = (record: PodRecord) =>
    (record.job === 'submitted' || record.job === 'unknown' || record.job === 'unclear') &&
    !record.vanished &&
    !record.stopped &&
    !isMirror(record.pod) &&
    (!isTerminal(record.pod.status?.phase) || record.pod.metadata.deletionTimestamp !== undefined)

  const stopListening = recorder.onEvent((about, event) => {
    const record = store.get(about.uid ?? '')
    if (!record) return
    record.events.push(event)
    if (record.events.length > 20) record.events.shift()
    store.emit(record.uid)
  })

  return {
    async start() {
      await source.subscribe(nodeName, onPod)
      synced = true
      if (pendingPing) this.onBackendReachable(pendingPing)
    },
    async stop() {
      stopped = true
      stopListening()
      await Promise.all([feed.stop(), lifecycle.stop(), statuses.stop()])
    },
    view: createPodView(store, interlink, nodeName, () => ({
      capabilities: feed.capabilities,
      hasAnswered: feed.started,
      ...(backend && { backend })
    })),
    queueStats: () => ({ lifecycle: lifecycle.stats(), status: statuses.stats(), pods: store.size }),
    onBackendReachable(ping = {}) {
      // Which jobs are orphans can be said only when all pods are known.
      pendingPing = ping
      backend = ping.backend
      if (!synced || stopped) return
      const first = !feed.started
      feed.start(new Set(ping.capabilities))
      if (first) for (const { uid } of store.all()) lifecycle.add(uid)
      for (const uid of held) lifecycle.add(uid)
      held.clear()
      deleteOrphans()
    }
  }
}
