/** How Incus answers: https://linuxcontainers.org/incus/docs/main/rest-api/ ("Return values"). */
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'

/** 103: running, 200: success, 400: failure, 401: cancelled; the API's "List of current status codes". */
export const Operation = Type.Object({
  id: Type.String(),
  class: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  status: Type.String(),
  status_code: Type.Integer(),
  resources: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Array(Type.String()))])),
  metadata: Type.Optional(Type.Union([Type.Null(), Type.Record(Type.String(), Type.Unknown())])),
  err: Type.Optional(Type.String())
})
export type Operation = Static<typeof Operation>

/** 200 to 399 has succeeded, 400 and more has not. */
export const isOver = ({ status_code: code }: Operation): boolean => code >= 200

const Sync = Type.Object({ type: Type.Literal('sync'), metadata: Type.Unknown() })
const Async = Type.Object({ type: Type.Literal('async'), metadata: Operation })
const Failed = Type.Object({ type: Type.Literal('error'), error: Type.String(), error_code: Type.Integer() })

/** What Incus said in refusing, in its own words; `status` as in HTTP. */
export class IncusError extends Error {
  override readonly name = 'IncusError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }

  get isMissing(): boolean {
    return this.status === 404
  }

  /** The client is not let in at all. */
  get isStranger(): boolean {
    return this.message.startsWith('not authorized')
  }
}

/** It was not heard, or what was heard is no answer of Incus; whether anything was done is not known. */
export class IncusUnreachable extends Error {
  override readonly name = 'IncusUnreachable'
}

export type Answer =
  | { readonly type: 'sync'; readonly metadata: unknown }
  | { readonly type: 'async'; readonly operation: Operation }

/**
 * @throws IncusError where Incus refuses
 * @throws IncusUnreachable where this is no answer of Incus
 */
export function readAnswer(status: number, text: string): Answer {
  const answer = parse(text)
  if (Value.Check(Failed, answer)) throw new IncusError(answer.error_code, answer.error)
  if (status >= 400) throw new IncusError(status, text.trim().slice(0, 1000) || `HTTP status ${status}`)
  if (Value.Check(Async, answer)) return { type: 'async', operation: answer.metadata }
  if (Value.Check(Sync, answer)) return { type: 'sync', metadata: answer.metadata }
  throw new IncusUnreachable(`no answer of Incus: ${text.slice(0, 200)}`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** @throws IncusError for an operation that has failed or was cancelled. */
export function succeeded(operation: Operation): Operation {
  if (operation.status_code < 400) return operation
  throw new IncusError(
    operation.status_code,
    operation.err || `${operation.description ?? 'operation'}: ${operation.status}`
  )
}
