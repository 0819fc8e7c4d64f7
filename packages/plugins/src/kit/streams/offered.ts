import type { StreamKind } from '@interlink-ts/interlink-api/wire'
import type { Backend, Streams } from '../backend.ts'

const methods = { exec: 'exec', attach: 'attach', portforward: 'portForward' } as const satisfies Record<
  StreamKind,
  keyof Streams
>

/** Capabilities of a backend: what it implements. */
export const offeredStreams = ({ streams }: Backend): StreamKind[] =>
  (Object.keys(methods) as StreamKind[]).filter((kind) => streams?.[methods[kind]])
