/** The parts of a core/v1 Node that this node reads and writes. Source: Kubernetes API reference v1.35. */
import type { PingResponse } from '@interlink-ts/interlink-api/wire'

export interface NodeObject {
  readonly metadata: {
    readonly name: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec?: {
    readonly podCIDR?: string
    readonly podCIDRs?: readonly string[]
    readonly providerID?: string
    readonly taints?: readonly Taint[]
    readonly unschedulable?: boolean
  }
  readonly status?: NodeStatus
}

export interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: string
  readonly timeAdded?: string
}

export interface NodeStatus {
  readonly capacity?: Readonly<Record<string, string>>
  readonly allocatable?: Readonly<Record<string, string>>
  readonly conditions?: readonly NodeCondition[]
  readonly addresses?: readonly { readonly type: string; readonly address: string }[]
  readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port: number } }
  readonly nodeInfo?: Readonly<Record<string, unknown>>
}

export interface NodeCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly lastHeartbeatTime?: string
  readonly lastTransitionTime?: string
}

/** What is known of the backend. */
export interface PingState {
  /** Absent until the first ping has ended. */
  readonly healthy?: boolean
  /** The newest answer, kept while later pings fail. */
  readonly response?: PingResponse
  /** The newest answer as text; empty after a failure. */
  readonly text: string
  /** Why the newest ping failed. */
  readonly error?: string
}
