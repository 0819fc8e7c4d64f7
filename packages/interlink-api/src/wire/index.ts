export * from './kube.ts'
export * from './messages.ts'
export { decode, decodeCreate, decodeStatuses, messages } from './decode.ts'
export type { CreateBody, MessageName } from './decode.ts'
export type { Issue } from './validate.ts'
export {
  encodeCreate,
  encodeCreateAnswer,
  encodeLog,
  encodePod,
  encodeRetrieved,
  encodeStatus,
  encodeStatuses,
  encodeStatusRequest,
  zeroTime
} from './encode.ts'
export type { CreateBodyShape } from './encode.ts'
export { parseJson } from './json.ts'
