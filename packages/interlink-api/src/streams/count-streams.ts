import { channel } from 'node:diagnostics_channel'
import type { Metrics } from '../telemetry/index.ts'
import type { StreamKind } from '../wire/messages.ts'

/** Tells how many sessions this process has open, as `{ open: number }`, whenever that changes. */
export const streamsChannel = channel('interlink.streams')
let all = 0

/** A gauge of that name: open sessions by `kind`. Called when one begins and when it ends. */
export function countStreams(metrics: Metrics, name: string): (kind: StreamKind, change: 1 | -1) => void {
  const gauge = metrics.gauge(name, 'Open exec, attach and port-forward sessions')
  const open: Record<StreamKind, number> = { exec: 0, attach: 0, portforward: 0 }
  return (kind, change) => {
    gauge.set((open[kind] += change), { kind })
    streamsChannel.publish({ open: (all += change) })
  }
}
