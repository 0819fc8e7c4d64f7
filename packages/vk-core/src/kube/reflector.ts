/**
 * A local copy of a part of the API: list, then watch, for ever.
 * Never ends by itself, whatever the server does; see the failure modes in the tests.
 */
import { backoffMs, pause, systemClock, type Clock } from './clock.ts'
import { isExpired, KubeError, type StatusBody } from './errors.ts'
import type { Log } from './log.ts'
import type { KubeClient, Query, WatchLine } from './types.ts'

export interface KubeObject {
  metadata: {
    uid?: string
    name?: string
    namespace?: string
    resourceVersion?: string
    managedFields?: unknown
  }
}

export type Change<T> =
  | { readonly type: 'added'; readonly object: T }
  | { readonly type: 'updated'; readonly object: T; readonly previous: T }
  /** `object` is the last one seen: a deletion during a gap of the watch is found by comparing lists. */
  | { readonly type: 'deleted'; readonly object: T }

export interface ReflectorOptions<T> {
  readonly client: KubeClient
  /** Collection, such as `/api/v1/pods`. */
  readonly path: string
  /** fieldSelector and labelSelector. */
  readonly query?: Query
  /** Called in the order of changes; must not throw. */
  readonly onChange: (change: Change<T>) => void
  /** Called for every failed list or watch but an expired one, after which it is tried again. */
  readonly onFailure?: (error: unknown) => void
  readonly log: Log
  readonly clock?: Clock
  /** @default 500 */
  readonly pageSize?: number
  /** A watch that is silent for longer is taken as dead. Bookmarks come about once a minute. @default 90000 */
  readonly inactivityMs?: number
  /** Smallest and largest wait between attempts. @default 800 and 30000 */
  readonly backoff?: { readonly base: number; readonly cap: number }
}

export interface Reflector<T> {
  /** Resolves after the first complete list. */
  readonly synced: Promise<void>
  start(): void
  stop(): Promise<void>
  get(uid: string): T | undefined
  values(): IterableIterator<T>
  readonly size: number
}

const watchSeconds = 300
/** A watch that lived longer than this was healthy: its end is no failure. */
const healthyMs = 5000
/** After so many failed watches in a row the resourceVersion itself is suspect. */
const relistAfter = 4

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, path, log, clock = systemClock, pageSize = 500, inactivityMs = 90_000 } = options
  const { base, cap } = options.backoff ?? { base: 800, cap: 30_000 }
  const objects = new Map<string, T>()
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  let resourceVersion: string | undefined
  let failures = 0
  let resolveSynced = () => {}
  const synced = new Promise<void>((resolve) => (resolveSynced = resolve))

  function put(object: T) {
    delete object.metadata.managedFields
    const uid = object.metadata.uid ?? ''
    const previous = objects.get(uid)
    objects.set(uid, object)
    if (!previous) options.onChange({ type: 'added', object })
    else if (previous.metadata.resourceVersion !== object.metadata.resourceVersion) {
      options.onChange({ type: 'updated', object, previous })
    }
  }

  function remove(uid: string, last?: T) {
    const known = objects.get(uid)
    if (!known) return
    objects.delete(uid)
    options.onChange({ type: 'deleted', object: last ?? known })
  }

  async function list() {
    const seen = new Set<string>()
    let token: string | undefined
    let version = ''
    do {
      const page = await client.get<{
        metadata: { resourceVersion: string; continue?: string }
        items?: T[]
      }>(path, { ...options.query, limit: pageSize, continue: token }, { signal: stopping.signal })
      for (const object of page.items ?? []) {
        seen.add(object.metadata.uid ?? '')
        put(object)
      }
      token = page.metadata.continue || undefined
      version = page.metadata.resourceVersion
    } while (token)
    for (const uid of [...objects.keys()]) if (!seen.has(uid)) remove(uid)
    resourceVersion = version
    resolveSynced()
  }

  function apply(line: WatchLine) {
    if (line.type === 'ERROR') {
      const status = line.object as StatusBody
      throw new KubeError(status.code ?? 500, status)
    }
    const object = line.object as unknown as T
    if (line.type === 'DELETED') {
      delete object.metadata.managedFields
      remove(object.metadata.uid ?? '', object)
    } else if (line.type !== 'BOOKMARK') put(object)
    resourceVersion = object.metadata.resourceVersion ?? resourceVersion
  }

  async function watch() {
    const silence = new AbortController()
    let last = clock.now()
    let cancel = () => {}
    const check = () => {
      const left = last + inactivityMs - clock.now()
      if (left <= 0) silence.abort(new Error(`the watch was silent for ${inactivityMs} ms`))
      else cancel = clock.schedule(left, check)
    }
    check()
    const query = {
      ...options.query,
      resourceVersion,
      allowWatchBookmarks: true,
      timeoutSeconds: watchSeconds + Math.floor(Math.random() * 60)
    }
    try {
      const signal = AbortSignal.any([stopping.signal, silence.signal])
      for await (const line of client.watch(path, query, { signal })) {
        last = clock.now()
        apply(line)
      }
    } finally {
      cancel()
    }
  }

  async function run() {
    while (!stopping.signal.aborted) {
      const started = clock.now()
      try {
        if (resourceVersion === undefined) await list()
        await watch()
        failures = clock.now() - started > healthyMs ? 0 : failures + 1
      } catch (error) {
        if (stopping.signal.aborted) return
        failures = clock.now() - started > healthyMs ? 1 : failures + 1
        if (isExpired(error)) resourceVersion = undefined
        else {
          log.warn({ path, err: error, failures }, 'watch failed, trying again')
          options.onFailure?.(error)
        }
      }
      if (failures >= relistAfter) resourceVersion = undefined
      if (failures > 0) await pause(clock, backoffMs(failures - 1, base, cap), stopping.signal)
    }
  }

  return {
    synced,
    start() {
      running ??= run()
    },
    async stop() {
      stopping.abort()
      await running
    },
    get: (uid) => objects.get(uid),
    values: () => objects.values(),
    get size() {
      return objects.size
    }
  }
}
