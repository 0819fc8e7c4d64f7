/**
 * Events about objects, told as a kubelet tells them (core/v1, what `kubectl describe` shows). Repeats raise the
 * count of the first one. Those of all nodes of a process travel in one lane that stays narrow while others are busy:
 * an event may come late, a status may not.
 */
import { systemClock, type Clock } from './clock.ts'
import { isNotFound } from './errors.ts'
import type { Log } from './log.ts'
import type { KubeClient, ObjectReference } from './types.ts'

export interface RecordedEvent {
  /** RFC 3339. */
  readonly at: string
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** The events of one node. */
export interface EventRecorder {
  record(about: ObjectReference, type: RecordedEvent['type'], reason: string, message: string): void
  /** Called for every event, repeats included, before it is sent. */
  onEvent(listener: Listener): () => void
}

export interface EventLane {
  /** @param host of the events' source: the node's name */
  recorder(host: string): EventRecorder
  readonly pending: number
  /** Sends what waits, for at most `ms`; then takes no more. @default 2000 */
  stop(ms?: number): Promise<void>
}

export interface EventLaneOptions {
  readonly client: KubeClient
  readonly component?: string
  readonly log: Log
  readonly clock?: Clock
  /** While true, events are sent one at a time and `slowMs` apart, until one has waited for a minute. */
  readonly busy?: () => boolean
  /** @default 100 */
  readonly slowMs?: number
  /** Events sent at once while nothing else is busy. @default 2 */
  readonly concurrency?: number
}

type Listener = (about: ObjectReference, event: RecordedEvent) => void

interface Entry {
  readonly key: string
  readonly host: string
  readonly about: ObjectReference
  readonly event: RecordedEvent
  readonly name: string
  /** When it was put in the queue. */
  since: number
  count: number
  last: string
  sent: boolean
}

/** Repeats are told apart for as long as this many other events; the API server keeps events for an hour. */
const remembered = 4096
const maxMessage = 1024
const latestMs = 60_000
const flushConcurrency = 16

export function createEventLane(options: EventLaneOptions): EventLane {
  const { client, log, clock = systemClock, component = 'interlink', concurrency = 2, slowMs = 100 } = options
  const queue = new Set<Entry>()
  const known = new Map<string, Entry>()
  let active = 0
  let serial = 0
  let resting = false
  let stopped = false
  let flushing = false
  let onDrained = () => {}

  function remember(entry: Entry) {
    known.set(entry.key, entry)
    const [oldest] = known.keys()
    if (known.size > remembered && oldest !== undefined) known.delete(oldest)
  }

  async function send(entry: Entry) {
    const path = `/api/v1/namespaces/${entry.about.namespace ?? 'default'}/events`
    const repeat = entry.sent
    const { count, last } = entry
    entry.sent = true
    if (repeat) {
      await client
        .patch(`${path}/${entry.name}`, { count, lastTimestamp: last }, 'merge')
        .catch((error) => (isNotFound(error) ? client.create(path, toObject(entry)) : Promise.reject(error)))
    } else await client.create(path, toObject(entry))
  }

  function toObject({ host, about, event, name, count, last }: Entry) {
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: about.namespace ?? 'default' },
      involvedObject: about,
      type: event.type,
      reason: event.reason,
      message: event.message,
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host,
      firstTimestamp: event.at,
      lastTimestamp: last,
      count
    }
  }

  function pump() {
    while (queue.size > 0 && !resting) {
      const [entry] = queue
      if (!entry) return
      const slow = !flushing && clock.now() - entry.since < latestMs && (options.busy?.() ?? false)
      if (active >= (slow ? 1 : flushing ? flushConcurrency : concurrency)) return
      queue.delete(entry)
      active++
      void send(entry)
        .catch((error) => {
          log.debug({ err: error, reason: entry.event.reason }, 'event not recorded')
        })
        .finally(() => {
          active--
          pump()
          if (queue.size === 0 && active === 0) onDrained()
        })
      if (slow) {
        resting = true
        clock.schedule(slowMs, () => {
          resting = false
          pump()
        })
      }
    }
  }

  function add(host: string, about: ObjectReference, event: RecordedEvent) {
    const key = [about.uid, about.fieldPath, event.type, event.reason, event.message].join('\0')
    const repeated = known.get(key)
    const name = `${about.name}.${clock.now().toString(16)}${(serial++ & 0xfff).toString(16).padStart(3, '0')}`
    const entry = repeated ?? {
      key,
      host,
      about,
      event,
      name,
      since: clock.now(),
      count: 0,
      last: event.at,
      sent: false
    }
    entry.count++
    entry.last = event.at
    if (!repeated) remember(entry)
    if (!queue.has(entry)) entry.since = clock.now()
    queue.add(entry)
    pump()
  }

  return {
    recorder(host) {
      const listeners = new Set<Listener>()
      return {
        record(about, type, reason, text) {
          if (stopped) return
          const message = text.length > maxMessage ? `${text.slice(0, maxMessage - 1)}…` : text
          const event = { at: seconds(clock.now()), type, reason, message }
          for (const listener of listeners) listener(about, event)
          add(host, about, event)
        },
        onEvent(listener) {
          listeners.add(listener)
          return () => listeners.delete(listener)
        }
      }
    },
    get pending() {
      return queue.size + active
    },
    async stop(ms = 2000) {
      stopped = true
      flushing = true
      resting = false
      if (queue.size === 0 && active === 0) return
      await new Promise<void>((resolve) => {
        const cancel = clock.schedule(ms, () => {
          if (queue.size > 0) log.warn({ events: queue.size }, 'events not sent before the end')
          queue.clear()
          resolve()
        })
        onDrained = () => {
          cancel()
          resolve()
        }
        pump()
      })
    }
  }
}

const seconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
