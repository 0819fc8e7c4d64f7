import { EventEmitter } from 'node:events'
import type { WebSocket } from 'ws'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { IncusError, isOver, Operation } from './answers.ts'

/** Of the API's "Events": what has happened to an instance, an image, a volume. */
export interface Lifecycle {
  /** `instance-started`, `instance-shutdown`, `instance-deleted`, … */
  readonly action: string
  readonly project: string
  /** Of the instance, image or volume. */
  readonly name: string
}

const LifecycleEvent = Type.Object({
  type: Type.Literal('lifecycle'),
  project: Type.Optional(Type.String()),
  metadata: Type.Object({ action: Type.String(), source: Type.String(), name: Type.Optional(Type.String()) })
})
const OperationEvent = Type.Object({ type: Type.Literal('operation'), metadata: Operation })

/** An operation can end before its number is known here: so many that nobody waited for are kept. */
const keptOperations = 1000
const retryMs = [250, 500, 1000, 2000, 5000, 10_000] as const
/** Incus forgets an operation five seconds after its end. */
const missedMs = 2000
/**
 * A stream is open a moment before Incus tells it anything: what has begun since is asked for again, often at first.
 */
const askAgainMs = [250, 750, 1000, 2000, 60_000] as const

interface Waiting {
  readonly resolve: (operation: Operation) => void
  readonly reject: (error: Error) => void
  readonly ask: () => Promise<Operation>
}

interface EventMap {
  lifecycle: [Lifecycle]
  /** What happened while nobody listened is not known: everything is to be looked at. */
  resumed: []
  /** Why it cannot be listened to. */
  lost: [string]
}

/**
 * What Incus tells without being asked. It is connected again when the connection is lost, and what is waited for is
 * asked for then.
 */
export class EventStream extends EventEmitter<EventMap> {
  readonly #connect: () => WebSocket
  readonly #ended = new Map<string, Operation>()
  readonly #waiting = new Map<string, Waiting>()
  #socket: WebSocket | undefined
  #opened: Promise<void> | undefined
  #turn = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(connect: () => WebSocket) {
    super()
    this.#connect = connect
  }

  /** Begins to listen; resolves when it is heard, or could not be for the first time. */
  open(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#opened ??= new Promise((resolve) => this.#listen(resolve))
    return this.#opened
  }

  /** An operation at its end. `ask` is for when its end was not heard. */
  async operation(id: string, ask: () => Promise<Operation>): Promise<Operation> {
    await this.open()
    if (this.#closed) throw new Error('closed')
    const known = this.#ended.get(id)
    if (known) return known
    const ended = new Promise<Operation>((resolve, reject) => this.#waiting.set(id, { resolve, reject, ask }))
    // It may fail before anybody waits for it below.
    ended.catch(() => {})
    // It may have ended before anybody listened.
    await this.#ask(id)
    return ended
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#socket?.terminate()
    for (const { reject } of this.#waiting.values()) reject(new Error('closed'))
    this.#waiting.clear()
  }

  #listen(settled: () => void): void {
    const socket = (this.#socket = this.#connect())
    let why = 'the connection was closed'
    socket.on('open', () => {
      this.#turn = 0
      this.emit('resumed')
      for (const id of this.#waiting.keys()) void this.#ask(id)
      settled()
    })
    socket.on('message', (data) => this.#hear((data as Buffer).toString()))
    socket.on('error', (error) => (why = error.message))
    socket.on('close', () => {
      settled()
      if (this.#closed) return
      this.emit('lost', why)
      const pause = retryMs[Math.min(this.#turn++, retryMs.length - 1)]!
      this.#timer = setTimeout(() => this.#listen(() => {}), pause)
    })
  }

  #hear(text: string): void {
    const event: unknown = JSON.parse(text)
    if (Value.Check(OperationEvent, event)) {
      if (isOver(event.metadata)) this.#end(event.metadata)
    } else if (Value.Check(LifecycleEvent, event)) {
      const { action, name, source } = event.metadata
      const last = new URL(source, 'http://incus').pathname.split('/').at(-1)!
      this.emit('lifecycle', { action, project: event.project ?? 'default', name: name ?? last })
    }
  }

  #end(operation: Operation): void {
    const { id } = operation
    const waiting = this.#waiting.get(id)
    if (waiting) {
      this.#waiting.delete(id)
      waiting.resolve(operation)
      return
    }
    this.#ended.set(id, operation)
    if (this.#ended.size > keptOperations) this.#ended.delete(this.#ended.keys().next().value!)
  }

  /** One that is unknown ended long ago, and nobody knows how. */
  async #ask(id: string, turn = 0): Promise<void> {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    try {
      const operation = await waiting.ask()
      if (isOver(operation)) return this.#end(operation)
    } catch (error) {
      if (error instanceof IncusError) return this.#miss(id, waiting, error)
    }
    const pause = askAgainMs[Math.min(turn, askAgainMs.length - 1)]!
    setTimeout(() => void (this.#waiting.get(id) === waiting && this.#ask(id, turn + 1)), pause).unref()
  }

  #miss(id: string, waiting: Waiting, error: IncusError): void {
    setTimeout(() => {
      if (this.#waiting.get(id) !== waiting) return
      this.#waiting.delete(id)
      waiting.reject(error)
    }, missedMs).unref()
  }
}
