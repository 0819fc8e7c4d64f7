/** What the kubelet port and the page may ask of a node's pods, without knowing how they are kept. */
import type { Pod, PodUsage } from '@interlink-ts/interlink-api/wire'
import type { Readable } from 'node:stream'
import type { StreamAsk, StreamSession } from '@interlink-ts/interlink-api/client'

export interface PodView {
  /** The node's pods as the API server has them, with the newest status known here. */
  list(): readonly Pod[]
  get(namespace: string, name: string): Pod | undefined
  /** The backend's job id of a pod, once created. */
  jobId(uid: string): string | undefined
  /** Called at every change of a pod, its status or its job; returns the way to stop. */
  onChange(listener: (uid: string) => void): () => void
  /** The newest events told about a pod, oldest first (at most 20 are kept). */
  events(uid: string): readonly PodEvent[]
  /** Log bytes of a container, straight from the backend. */
  logs(pod: Pod, container: string, options: LogQuery, signal: AbortSignal): Promise<Readable>
  /** An exec, attach or port-forward, straight to the backend. */
  stream(pod: Pod, ask: StreamAsk, signal: AbortSignal): Promise<StreamSession>
  /** What its containers use, where the backend measures it. */
  usage(signal: AbortSignal): Promise<readonly PodUsage[]>
  /** What the backend said last of itself. */
  readonly backend: BackendOffer
}

/** What of a ping is for the kubelet port. */
export interface BackendOffer {
  /** Its name, where it said one. */
  readonly backend?: string
  /** Whether it has ever answered: before, what it offers is not known. */
  readonly hasAnswered: boolean
  readonly capabilities: ReadonlySet<string>
}

export interface PodEvent {
  readonly at: string
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** The kubelet's query parameters, already checked. */
export interface LogQuery {
  readonly tailLines?: number
  readonly limitBytes?: number
  readonly sinceSeconds?: number
  readonly sinceTime?: string
  readonly timestamps: boolean
  readonly previous: boolean
  readonly follow: boolean
}
