/** One timer for everything that recurs: the leases and pings of any number of nodes. */

export interface WheelOptions {
  /** How finely time is divided, in milliseconds. @default 100 */
  readonly tickMs?: number
  readonly now?: () => number
  readonly random?: () => number
}

export interface Wheel {
  /**
   * Runs the task again and again, each time `delayMs` after the last run began (± 5 %, so that nodes started
   * together drift apart), and never twice at once. The task answers its next delay, or undefined for the usual one.
   */
  every(delayMs: number, firstMs: number, task: () => Promise<number | undefined | void>): Recurring
  close(): void
}

export interface Recurring {
  /** Runs as soon as possible instead of at its time. */
  soon(): void
  stop(): void
}

interface Entry {
  due: number
  readonly delayMs: number
  readonly task: () => Promise<number | undefined | void>
  running: boolean
  asked: boolean
  stopped: boolean
}

export function createWheel(options: WheelOptions = {}): Wheel {
  const { tickMs = 100, now = () => performance.now(), random = Math.random } = options
  const slots = new Map<number, Set<Entry>>()
  let turned = Math.floor(now() / tickMs)
  let timer: NodeJS.Timeout | undefined

  const insert = (entry: Entry, delayMs: number) => {
    entry.due = Math.max(turned + 1, Math.ceil((now() + delayMs) / tickMs))
    const slot = slots.get(entry.due)
    if (slot) slot.add(entry)
    else slots.set(entry.due, new Set([entry]))
    timer ??= setInterval(turn, tickMs)
  }
  const remove = (entry: Entry) => {
    const slot = slots.get(entry.due)
    slot?.delete(entry)
    if (slot?.size === 0) slots.delete(entry.due)
  }
  const run = (entry: Entry) => {
    const began = now()
    entry.running = true
    entry.asked = false
    void entry
      .task()
      .catch(() => undefined)
      .then((next) => {
        entry.running = false
        if (entry.stopped) return
        const delay = (next ?? entry.delayMs) * (0.95 + 0.1 * random())
        insert(entry, entry.asked ? 0 : Math.max(0, began + delay - now()))
      })
  }
  function turn() {
    for (const until = Math.floor(now() / tickMs); turned < until;) {
      const slot = slots.get(++turned)
      if (!slot) continue
      slots.delete(turned)
      for (const entry of slot) run(entry)
    }
    if (slots.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    every(delayMs, firstMs, task) {
      if (slots.size === 0) turned = Math.floor(now() / tickMs)
      const entry: Entry = { due: 0, delayMs, task, running: false, asked: false, stopped: false }
      if (firstMs <= 0) run(entry)
      else insert(entry, firstMs)
      return {
        soon() {
          entry.asked = true
          if (entry.running || entry.stopped) return
          remove(entry)
          run(entry)
        },
        stop() {
          entry.stopped = true
          remove(entry)
        }
      }
    },
    close() {
      clearInterval(timer)
      timer = undefined
      slots.clear()
    }
  }
}
