/**
 * What the backend says of its jobs: by watch where it offers one, else by one call for all, else by calls for one
 * each. Never by more calls than there are questions.
 */
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { Pod, PodRef, PodStatus } from '@interlink-ts/interlink-api/wire'
import { backoffMs, pause, type Clock } from '../kube/clock.ts'
import type { Log } from '../kube/log.ts'

export interface StatusFeedOptions {
  readonly client: InterlinkClient
  readonly node: string
  readonly clock: Clock
  readonly log: Log
  /** Pause between two rounds of asking, in milliseconds. */
  readonly intervalMs: number
  /** Pods that the backend is to be asked about; only without a watch. */
  readonly wanted: () => readonly Pod[]
  readonly onStatus: (status: PodStatus) => void
  /** The backend has forgotten the pod, or does not name it though it was asked. */
  readonly onGone: (uid: string) => void
  /** All that the backend has on the node has been told. Only with a watch. */
  readonly onSnapshot: (jobs: ReadonlyMap<string, PodStatus>) => void
}

export interface StatusFeed {
  /** Begins, or goes on with what the backend offers now. */
  start(capabilities: ReadonlySet<string>): void
  /** The capabilities are known. */
  readonly started: boolean
  readonly capabilities: ReadonlySet<string>
  /**
   * Asks now about these pods; those that the backend does not know are missing in the answer.
   * @throws Error where it cannot be told, as the backend spoke of other pods instead
   */
  ask(pods: readonly Pod[]): Promise<ReadonlyMap<string, PodStatus>>
  stop(): Promise<void>
}

const batchSize = 500
const singleCalls = 8
const longestPauseMs = 30_000
/** A plugin that answered less than it was asked is tried again with many after so many rounds. */
const learnAgainAfter = 120

export function createStatusFeed(options: StatusFeedOptions): StatusFeed {
  const { client, node, clock, log, onStatus, onGone } = options
  const stopping = new AbortController()
  let capabilities: ReadonlySet<string> = new Set()
  let started = false
  let mode: 'watch' | 'poll' | undefined
  let change = new AbortController()
  let running: Promise<void> | undefined
  /** Rounds left of asking for one pod at a time. */
  let singly = 0
  let rounds = 0

  const has = (name: string) => capabilities.has(name)
  const shape = (pod: Pod): Pod | PodRef => {
    const { namespace, name, uid } = pod.metadata
    return has('status.refs') ? { metadata: { namespace, name, uid } } : pod
  }

  interface Answers {
    readonly known: ReadonlyMap<string, PodStatus>
    /** Asked for, but told of others: some plugins of the field give everybody what they last gave to anybody. */
    readonly unclear: ReadonlySet<string>
  }

  async function askAll(pods: readonly Pod[]): Promise<Answers> {
    const known = new Map<string, PodStatus>()
    const unclear = new Set<string>()
    const take = (answers: readonly PodStatus[], asked: readonly Pod[]) => {
      const uids = new Set(asked.map((pod) => pod.metadata.uid ?? ''))
      for (const answer of answers) if (uids.has(answer.UID)) known.set(answer.UID, answer)
      const isOfOthers = answers.some((answer) => !uids.has(answer.UID))
      for (const uid of uids) {
        if (isOfOthers && !known.has(uid)) unclear.add(uid)
        else unclear.delete(uid)
      }
    }
    const call = async (part: readonly Pod[]) => {
      take(await client.status(part.map(shape), { node, signal: stopping.signal }), part)
    }
    if (has('status.batch') || (singly === 0 && pods.length > 1)) {
      for (let at = 0; at < pods.length; at += batchSize) await call(pods.slice(at, at + batchSize))
      if (has('status.batch')) return { known, unclear }
    }
    const left = pods.filter((pod) => !known.has(pod.metadata.uid ?? ''))
    const next = left.values()
    const before = known.size
    await Promise.all(
      Array.from({ length: Math.min(singleCalls, left.length) }, async () => {
        for (const pod of next) await call([pod])
      })
    )
    if (singly > 0) singly--
    // Known when asked for alone, but not when asked for among others: this plugin answers one at a time.
    else if (pods.length > 1 && known.size > before) singly = learnAgainAfter
    return { known, unclear }
  }

  async function ask(pods: readonly Pod[]) {
    const { known, unclear } = await askAll(pods)
    if (unclear.size > 0)
      throw new Error('the backend was asked about a pod and spoke of others; it is asked again')
    return known
  }

  async function poll(signal: AbortSignal) {
    const wanted = options.wanted()
    // Where one answer serves for all for a while, or only the first is answered, each is the first in its turn.
    const first = wanted.length === 0 ? 0 : rounds++ % wanted.length
    const pods = [...wanted.slice(first), ...wanted.slice(0, first)]
    if (pods.length > 0) {
      const { known, unclear } = await askAll(pods)
      if (signal.aborted) return
      for (const status of known.values()) onStatus(status)
      for (const { metadata } of pods)
        if (!known.has(metadata.uid ?? '') && !unclear.has(metadata.uid ?? '')) onGone(metadata.uid ?? '')
    }
    await pause(clock, options.intervalMs, signal)
  }

  let cursor: string | undefined
  async function watch(signal: AbortSignal) {
    let listed: Map<string, PodStatus> | undefined
    for await (const event of client.watch({ node, signal, ...(cursor && { cursor }) })) {
      if (event.type === 'reset') {
        listed = new Map()
        cursor = undefined
        continue
      }
      if (event.type === 'status') {
        listed?.set(event.status.UID, event.status)
        onStatus(event.status)
      } else if (event.type === 'gone') {
        listed?.delete(event.UID)
        onGone(event.UID)
      } else if (listed) {
        options.onSnapshot(listed)
        listed = undefined
      }
      // Until the list is complete there is nothing to resume from.
      if (!listed) cursor = event.cursor
    }
  }

  async function run() {
    for (let failures = 0; !stopping.signal.aborted;) {
      const signal = AbortSignal.any([stopping.signal, change.signal])
      const begun = clock.now()
      try {
        await (mode === 'watch' ? watch(signal) : poll(signal))
        failures = mode === 'poll' || clock.now() - begun > 5000 ? 0 : failures + 1
      } catch (error) {
        if (!signal.aborted) log.warn({ node, err: error }, 'the backend did not tell of its jobs')
        failures = clock.now() - begun > 5000 ? 1 : failures + 1
      }
      if (failures > 0) await pause(clock, backoffMs(failures - 1, 500, longestPauseMs), signal)
    }
  }

  return {
    start(now) {
      const wanted = now.has('watch') ? 'watch' : 'poll'
      capabilities = now
      started = true
      if (mode !== wanted) {
        mode = wanted
        cursor = undefined
        change.abort()
        change = new AbortController()
      }
      running ??= run()
    },
    get started() {
      return started
    },
    get capabilities() {
      return capabilities
    },
    ask,
    async stop() {
      stopping.abort()
      await running
    }
  }
}
