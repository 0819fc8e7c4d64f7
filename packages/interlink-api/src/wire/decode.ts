import { Type, type Static, type TSchema } from 'typebox'
import { InterlinkError } from '../errors.ts'
import {
  CreateOutcome,
  CreateStruct,
  EphemeralRequest,
  ErrorBody,
  LogStruct,
  PingResponse,
  PodCreateRequests,
  PodRef,
  PodStatus,
  PodUsage,
  RetrievedPodData,
  WatchEvent
} from './messages.ts'
import { ClaimedDevices, DeviceOffer } from './device-offer.ts'
import { Pod } from './kube.ts'
import { normalise } from './normalise.ts'
import { validate } from './validate.ts'

/** The messages by name, as they are called in the protocol's documentation. */
export const messages = {
  PodCreateRequests,
  RetrievedPodData,
  CreateStruct,
  CreateOutcomes: Type.Array(CreateOutcome),
  StatusRequest: Type.Array(PodRef),
  StatusResponse: Type.Array(PodStatus),
  EphemeralRequest,
  UsageResponse: Type.Array(PodUsage),
  DeviceOffer,
  ClaimedDevices,
  Pod,
  LogStruct,
  PingResponse,
  WatchEvent,
  ErrorBody
} as const
export type MessageName = keyof typeof messages

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
  const issues = validate(schema, value)
  if (issues.length === 0) return value
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
