import type { Readable } from 'node:stream'

/** The narrow door to the Kubernetes API that the rest of the node uses. */
export interface KubeClient {
  /** Base URL of the API server. */
  readonly server: string
  get<T>(path: string, query?: Query, options?: CallOptions): Promise<T>
  create<T>(path: string, body: unknown, query?: Query, options?: CallOptions): Promise<T>
  replace<T>(path: string, body: unknown, query?: Query, options?: CallOptions): Promise<T>
  patch<T>(path: string, patch: unknown, type: PatchType, query?: Query, options?: CallOptions): Promise<T>
  delete<T>(path: string, options?: unknown, query?: Query, call?: CallOptions): Promise<T>
  /** One line of a watch as parsed JSON; ends when the server closes; throws KubeError or a network error. */
  watch(path: string, query: Query, options: { signal: AbortSignal }): AsyncIterable<WatchLine>
  /** The bytes of an answer as they come, such as a container's log. */
  stream(path: string, query: Query, options: { signal: AbortSignal }): Promise<Readable>
  close(): Promise<void>
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>
export type PatchType = 'merge' | 'strategic' | 'json'
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

export interface WatchLine {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: Record<string, unknown>
}

/** An object reference as events and TokenRequests need it. */
export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly fieldPath?: string
}
