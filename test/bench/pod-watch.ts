import { podsPath } from './pods.ts'
import type { KubeRequests } from './kube-requests.ts'

/** When the pods of one namespace were seen to change, in epoch milliseconds, by a watch on the API. */
export class PodWatch {
  readonly sent = new Map<string, number>()
  readonly running = new Map<string, number>()
  /** By UID, since the backend knows nothing else. */
  readonly succeeded = new Map<string, number>()
  /** Pods seen in any phase that none of them should reach. */
  readonly failed = new Set<string>()
  #close: (() => void) | undefined
  #changed: (() => void) | undefined

  static async open(kube: KubeRequests, namespace: string): Promise<PodWatch> {
    const watch = new PodWatch()
    const { close } = await kube.watch(podsPath(namespace), ({ type, object }) => {
      if (type !== 'ADDED' && type !== 'MODIFIED') return
      const { name, uid } = object.metadata
      const now = Date.now()
      const phase = object.status?.phase
      if (phase === 'Running' && !watch.running.has(name)) watch.running.set(name, now)
      if (phase === 'Succeeded' && !watch.succeeded.has(uid)) watch.succeeded.set(uid, now)
      if (phase === 'Failed') watch.failed.add(name)
      watch.#changed?.()
    })
    watch.#close = close
    return watch
  }

  /** Waits for so many pods in a phase. */
  async until(phase: 'running' | 'succeeded', count: number, deadlineMs: number): Promise<void> {
    if (this[phase].size >= count) return
    await new Promise<void>((resolve, reject) => {
      const settle = (action: () => void): void => {
        clearTimeout(timer)
        this.#changed = undefined
        action()
      }
      const timer = setTimeout(
        () =>
          settle(() =>
            reject(new Error(`${this[phase].size} of ${count} pods ${phase} after ${deadlineMs} ms`))
          ),
        deadlineMs
      )
      this.#changed = () => {
        if (this.failed.size > 0)
          settle(() => reject(new Error(`pods failed: ${[...this.failed].slice(0, 5)}`)))
        else if (this[phase].size >= count) settle(resolve)
      }
    })
  }

  /** Milliseconds from sending each pod to seeing it run. */
  get createToRunning(): number[] {
    return [...this.running].map(([name, at]) => at - this.sent.get(name)!)
  }

  /** Pods per second from the first one sent to the last one seen running. */
  get rate(): number {
    const first = Math.min(...this.sent.values())
    const last = Math.max(...this.running.values())
    return (this.running.size / (last - first)) * 1000
  }

  close(): void {
    this.#close?.()
  }
}
