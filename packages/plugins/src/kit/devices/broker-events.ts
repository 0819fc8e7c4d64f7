import type { Notice } from './lease.ts'

/** A holder that has to go: who and why, and until when; a pod's DisruptionTarget condition and event. */
export interface Preemption extends Notice {
  readonly uid: string
  readonly project: string
  /** Whom it goes for. */
  readonly byProject?: string
}

export type BrokerEvent =
  | { readonly type: 'bound' | 'released' | 'lost'; readonly uid: string }
  | { readonly type: 'preempted'; readonly uid: string; readonly preemption: Preemption }
  /** Who was told `PLUGIN_DEVICES_BUSY` may ask again. */
  | { readonly type: 'room' }
