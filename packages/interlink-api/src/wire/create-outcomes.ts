import { toBody, type InterlinkError } from '../errors.ts'
import type { CreateOutcome, CreateStruct } from './messages.ts'

export interface CreateCall {
  readonly body: unknown
  /** Of the answers that are errors. */
  readonly session: string
  /** Creates the job of one pod of the body. */
  create(body: unknown): Promise<CreateStruct>
  /** Logs an error, and says what it is to the caller. */
  tell(error: unknown): InterlinkError
}

/** Answers `/create` of one pod, as an object or in an array of one, or of several, each with an outcome of its own. */
export function answerCreates({
  body,
  session,
  create,
  tell
}: CreateCall): Promise<CreateStruct | CreateOutcome[]> {
  if (!Array.isArray(body) || body.length <= 1) return create(body)
  const outcome = (one: unknown): Promise<CreateOutcome> =>
    create(one).then(
      (created) => ({ created }),
      (error: unknown) => {
        const known = tell(error)
        return { error: toBody(known, session), status: known.status }
      }
    )
  return Promise.all(body.map(outcome))
}
