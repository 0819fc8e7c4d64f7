export { createInterlinkClient } from './client.ts'
export type {
  CallOptions,
  CreateOptions,
  InterlinkClient,
  InterlinkClientOptions,
  LogStream,
  PingResult,
  WatchOptions
} from './client.ts'
export { followTlsFiles, type TlsFiles } from './tls-files.ts'
export type { TlsMaterial } from './transport.ts'
export type { StreamAsk, StreamSession } from './open-stream.ts'
