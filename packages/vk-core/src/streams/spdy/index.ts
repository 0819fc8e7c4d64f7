export { SpdyConnection, type SpdyOptions } from './connection.ts'
export { SpdyError } from './frames.ts'
export type { Headers } from './header-block.ts'
export type { SpdyStream } from './stream.ts'
