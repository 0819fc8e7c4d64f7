import { Type, type Static, type TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { InterlinkError } from '../errors.ts'
import {
  CreateStruct,
  ErrorBody,
  LogStruct,
  PingResponse,
  PodCreateRequests,
  PodRef,
  PodStatus,
  RetrievedPodData,
  WatchEvent
} from './messages.ts'
import { Pod } from './kube.ts'
import { normalise } from './normalise.ts'

/** The messages by name, as they are called in the protocol's documentation. */
export const messages = {
  PodCreateRequests,
  RetrievedPodData,
  CreateStruct,
  StatusRequest: Type.Array(PodRef),
  StatusResponse: Type.Array(PodStatus),
  Pod,
  LogStruct,
  PingResponse,
  WatchEvent,
  ErrorBody
} as const
export type MessageName = keyof typeof messages

export interface Issue {
  /** Path in the message, such as `pod.spec.containers[0].name`. */
  readonly field: string
  readonly expected: string
  /** The kind of what was there, never its value. */
  readonly found: string
}

const validators = new WeakMap<object, Validator>()

/**
 * Reads a message as the field writes it: `null` is absence, defaults are filled in, keys are matched without regard
 * to case, and the create messages may stand in an array of one (protocol 0.4). Unknown fields are kept.
 * @throws InterlinkError `IL_INVALID_MESSAGE`; `details.issues` lists up to ten {@link Issue}s. No value is quoted.
 */
export function decode<N extends MessageName>(message: N, json: unknown): Static<(typeof messages)[N]>
export function decode<T extends TSchema>(message: T, json: unknown): Static<T>
export function decode(message: MessageName | TSchema, json: unknown): unknown {
  const schema: TSchema = typeof message === 'string' ? messages[message as MessageName] : message
  const value = normalise(schema, unwrap(schema, json))
  const validator = validatorOf(schema)
  if (validator.Check(value)) return value
  const issues = issuesOf(validator, value)
  throw new InterlinkError('IL_INVALID_MESSAGE', { ...issues[0], issues })
}

/** A `/create` body: from a node, or from an API server that has attached the volumes' objects already. */
export type CreateBody =
  | { readonly kind: 'requests'; readonly message: PodCreateRequests }
  | { readonly kind: 'retrieved'; readonly message: RetrievedPodData }

/** Tells the two `/create` bodies apart by the key `container`, which only the API server writes. */
export function decodeCreate(json: unknown): CreateBody {
  const body = unwrap(PodCreateRequests, json)
  const retrieved =
    typeof body === 'object' &&
    body !== null &&
    Object.keys(body).some((key) => key.toLowerCase() === 'container')
  return retrieved
    ? { kind: 'retrieved', message: decode(RetrievedPodData, body) }
    : { kind: 'requests', message: decode(PodCreateRequests, body) }
}

/** The answer to `/status`: `null` and nothing at all mean that no pod is known. */
export const decodeStatuses = (json: unknown): PodStatus[] =>
  decode(messages.StatusResponse, json ?? []).filter((status) => status.UID !== '')

const arrayOfOne: readonly TSchema[] = [PodCreateRequests, RetrievedPodData, CreateStruct]
const unwrap = (schema: TSchema, json: unknown): unknown =>
  Array.isArray(json) && json.length === 1 && arrayOfOne.includes(schema) ? json[0] : json

function validatorOf(schema: TSchema): Validator {
  const found = validators.get(schema)
  if (found) return found
  const validator: Validator = Compile(schema)
  validators.set(schema, validator)
  return validator
}

function issuesOf(validator: Validator, value: unknown): Issue[] {
  const issues = new Map<string, Issue>()
  for (const { keyword, instancePath, params, message } of validator.Errors(value)) {
    const path = instancePath.split('/').slice(1).map(unescapePointer)
    const missing =
      keyword === 'required' ? (params as { requiredProperties: string[] }).requiredProperties : []
    for (const name of missing) add([...path, name], 'a value')
    if (keyword === 'anyOf') continue
    if (missing.length === 0) add(path, message.replace(/^must (be equal to|be|match|have) ?/, ''))
  }
  return [...issues.values()].slice(0, 10)

  function add(path: readonly string[], expected: string): void {
    const field = fieldPath(path) || 'body'
    const before = issues.get(field)
    if (before && before.expected.split(' or ').includes(expected)) return
    issues.set(field, {
      field,
      expected: before ? `${before.expected} or ${expected}` : expected,
      found: kindOf(path.reduce<unknown>(step, value))
    })
  }
}

const unescapePointer = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~')
const step = (at: unknown, key: string): unknown =>
  typeof at === 'object' && at !== null && Object.hasOwn(at, key)
    ? (at as Record<string, unknown>)[key]
    : undefined

const fieldPath = (path: readonly string[]): string =>
  path.reduce((text, key) => {
    if (/^\d+$/.test(key)) return `${text}[${key}]`
    if (/^[A-Za-z_$][\w$-]*$/.test(key)) return text ? `${text}.${key}` : key
    return `${text}[${JSON.stringify(key.slice(0, 100))}]`
  }, '')

const kindOf = (value: unknown): string =>
  value === undefined
    ? 'nothing'
    : value === null
      ? 'null'
      : Array.isArray(value)
        ? 'an array'
        : kinds[typeof value]!
const kinds: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'a boolean',
  object: 'an object'
}
