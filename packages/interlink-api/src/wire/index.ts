export {
  ConfigMap,
  Container,
  ContainerState,
  ContainerStateRunning,
  ContainerStateTerminated,
  ContainerStateWaiting,
  ContainerStatus,
  EnvFromSource,
  EnvVar,
  KeyToPath,
  LifecycleHandler,
  ObjectFieldSelector,
  ObjectMeta,
  Pod,
  PodCondition,
  PodSpec,
  PodStatusObject,
  Probe,
  ProjectedSource,
  ResourceFieldSelector,
  ResourceRequirements,
  Secret,
  SecurityContext,
  Toleration,
  Volume,
  VolumeMount
} from './kube.ts'
export {
  capabilities,
  CreateOutcome,
  CreateStruct,
  EphemeralRequest,
  ErrorBody,
  expandedAnnotation,
  LogOpts,
  LogStruct,
  nodeHeader,
  PingResponse,
  PodCreateRequests,
  PodRef,
  PodStatus,
  PodUsage,
  RetrievedContainer,
  RetrievedPodData,
  ScriptBuildConfig,
  sessionHeader,
  streamKinds,
  streamProtocol,
  StreamStart,
  StreamStatus,
  Taint,
  WatchEvent
} from './messages.ts'
export type { Capability, StreamKind } from './messages.ts'
export { ClaimedDevices, claimsAnnotation, deviceDriver, DeviceOffer } from './device-offer.ts'
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
export { answerCreates, type CreateCall } from './create-outcomes.ts'
export { addQuantities, divideUp, isWhole, parseQuantity, toMillis, toNumber, toUnits } from './quantity.ts'
