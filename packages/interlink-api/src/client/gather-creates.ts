import { InterlinkError, fromBody } from '../errors.ts'
import type { CreateOutcome, CreateStruct } from '../wire/messages.ts'

export interface CreateSender<Options> {
  /** One body of `/create`. */
  alone(body: string, options: Options): Promise<CreateStruct>
  /** An array of such bodies. */
  together(body: string, options: Options): Promise<CreateOutcome[]>
}

interface Waiting<Options> {
  readonly body: string
  readonly options: Options
  readonly resolve: (answer: CreateStruct) => void
  readonly reject: (error: unknown) => void
}

const atOnce = 4
const most = 32
/** Characters of a call, well below the least body limit there is by default. */
const largest = 1024 * 1024
/** After a server has refused an array, as one does that only passes on what a plugin behind it offers. */
const restMs = 300_000

/**
 * Creates of one node (`key`) that come while others are under way go together in the next call. One that comes
 * alone goes at once and alone.
 */
export function gatherCreates<Options>(sender: CreateSender<Options>, now = () => performance.now()) {
  const queues = new Map<string, { readonly waiting: Waiting<Options>[]; active: number }>()
  let restUntil = 0

  async function send(batch: readonly Waiting<Options>[]): Promise<void> {
    const [first] = batch
    if (!first) return
    if (batch.length === 1) return sendAlone(first)
    try {
      const outcomes = await sender.together(`[${batch.map(({ body }) => body).join(',')}]`, first.options)
      if (outcomes.length !== batch.length)
        throw new InterlinkError('IL_INVALID_ANSWER', {
          reason: `${outcomes.length} answers to ${batch.length} creates`
        })
      batch.forEach((one, index) => settle(one, outcomes[index]!))
    } catch (error) {
      const answered = error instanceof InterlinkError && typeof error.details.status === 'number'
      if (!answered || error.status === 503) return batch.forEach(({ reject }) => reject(error))
      restUntil = now() + restMs
      await Promise.all(batch.map(sendAlone))
    }
  }

  const sendAlone = ({ body, options, resolve, reject }: Waiting<Options>) =>
    sender.alone(body, options).then(resolve, reject)

  function next(key: string): void {
    const queue = queues.get(key)
    if (!queue) return
    while (queue.active < atOnce && queue.waiting.length > 0) {
      let size = 0
      const fits = queue.waiting.findIndex(({ body }) => (size += body.length) > largest)
      const batch = queue.waiting.splice(0, Math.min(most, fits < 0 ? most : Math.max(1, fits)))
      queue.active++
      void send(batch).finally(() => {
        queue.active--
        next(key)
      })
    }
    if (queue.active === 0 && queue.waiting.length === 0) queues.delete(key)
  }

  return (key: string, body: string, options: Options): Promise<CreateStruct> =>
    now() < restUntil
      ? sender.alone(body, options)
      : new Promise((resolve, reject) => {
          const queue = queues.get(key) ?? { waiting: [], active: 0 }
          queues.set(key, queue)
          // Those of one turn of the event loop are seen together.
          if (queue.waiting.push({ body, options, resolve, reject }) === 1) setImmediate(next, key)
        })
}

function settle({ resolve, reject }: Waiting<unknown>, { created, error, status }: CreateOutcome): void {
  if (created) return resolve(created)
  const reason = 'an outcome has neither created nor error'
  reject(fromBody(error, status ?? 500) ?? new InterlinkError('IL_INVALID_ANSWER', { reason }))
}
