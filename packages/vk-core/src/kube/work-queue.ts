/**
 * A queue of keys, each worked on by one worker at a time. Adding a key that waits does nothing; adding one that
 * is worked on lets it run once more. A key that fails comes back after a wait of its own, for ever:
 * there is no global limit, and nothing is forgotten.
 */
import { backoffMs, systemClock, type Clock } from './clock.ts'

export interface WorkQueueOptions {
  readonly concurrency: number
  /** Resolves when the key is done for now, with `afterMs` when it wants to be looked at again. */
  readonly work: (key: string) => Promise<{ readonly afterMs: number } | void>
  readonly onError: (key: string, error: unknown, failures: number, retryMs: number) => void
  readonly clock?: Clock
  /** @default 500 */
  readonly baseMs?: number
  /** @default 300000 */
  readonly capMs?: number
}

export interface WorkQueueStats {
  /** Ready and waiting for a worker. */
  readonly depth: number
  readonly active: number
  /** Waiting for their time. */
  readonly delayed: number
}

export interface WorkQueue {
  /** Ready now, even when the key waits for its time; its count of failures is kept. */
  add(key: string): void
  /** Ready after `ms`, unless it is ready or due earlier. */
  addAfter(key: string, ms: number): void
  /** Drops the key's wait and its failures; a running worker is not stopped. */
  forget(key: string): void
  stats(): WorkQueueStats
  /** Starts nothing more; resolves when the running workers have ended. */
  stop(): Promise<void>
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock = systemClock, baseMs = 500, capMs = 300_000 } = options
  const ready = new Set<string>()
  const active = new Set<string>()
  const again = new Set<string>()
  const failures = new Map<string, number>()
  const due = new Map<string, number>()
  const heap: Due[] = []
  let cancelTimer = () => {}
  let timerAt = Infinity
  let stopped = false
  let onIdle = () => {}

  function arm() {
    const first = heap[0]
    if (!first || stopped || first.at >= timerAt) return
    cancelTimer()
    timerAt = first.at
    cancelTimer = clock.schedule(first.at - clock.now(), fire)
  }

  function fire() {
    timerAt = Infinity
    const now = clock.now()
    for (let first = heap[0]; first && first.at <= now; first = heap[0]) {
      pop(heap)
      // An entry whose key was moved to another time, or is ready already, is stale.
      if (due.get(first.key) === first.at) add(first.key)
    }
    arm()
  }

  function add(key: string) {
    due.delete(key)
    if (stopped) return
    if (active.has(key)) again.add(key)
    else ready.add(key)
    pump()
  }

  function addAfter(key: string, ms: number) {
    if (ms <= 0) return add(key)
    const at = clock.now() + ms
    if (ready.has(key) || stopped || (due.get(key) ?? Infinity) <= at) return
    due.set(key, at)
    push(heap, { key, at })
    arm()
  }

  function pump() {
    while (!stopped && active.size < options.concurrency) {
      const [key] = ready
      if (key === undefined) return
      ready.delete(key)
      active.add(key)
      void run(key)
    }
  }

  async function run(key: string) {
    let afterMs: number | undefined
    try {
      const result = await options.work(key)
      failures.delete(key)
      afterMs = result?.afterMs
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1
      failures.set(key, count)
      afterMs = backoffMs(count - 1, baseMs, capMs)
      options.onError(key, error, count, afterMs)
    }
    active.delete(key)
    if (again.delete(key)) add(key)
    else if (afterMs !== undefined) addAfter(key, afterMs)
    if (active.size === 0) onIdle()
    pump()
  }

  return {
    add,
    addAfter,
    forget(key) {
      due.delete(key)
      ready.delete(key)
      again.delete(key)
      failures.delete(key)
    },
    stats: () => ({ depth: ready.size, active: active.size, delayed: due.size }),
    stop() {
      stopped = true
      cancelTimer()
      ready.clear()
      again.clear()
      return new Promise((resolve) => {
        onIdle = resolve
        if (active.size === 0) resolve()
      })
    }
  }
}

interface Due {
  readonly key: string
  readonly at: number
}

function push(heap: Due[], item: Due) {
  let index = heap.push(item) - 1
  while (index > 0) {
    const parent = (index - 1) >> 1
    const above = heap[parent] as Due
    if (above.at <= item.at) break
    heap[index] = above
    index = parent
  }
  heap[index] = item
}

function pop(heap: Due[]) {
  const last = heap.pop()
  if (!last || heap.length === 0) return
  let index = 0
  for (;;) {
    let child = 2 * index + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right && right.at < (heap[child] as Due).at) child++
    const below = heap[child] as Due
    if (below.at >= last.at) break
    heap[index] = below
    index = child
  }
  heap[index] = last
}
