import type { Readable, Writable } from 'node:stream'
import type { StreamStatus } from '@interlink-ts/interlink-api/wire'

/** Who has asked for an exec or attach, over whichever protocol. */
export interface Caller {
  readonly stdin: Readable | undefined
  readonly stdout: Writable | undefined
  readonly stderr: Writable | undefined
  /** Sizes of its terminal, from the first on. */
  onResize(listener: (columns: number, rows: number) => void): void
  /** Tells how it ended, once all output is sent, and says goodbye. */
  end(status: StreamStatus): Promise<void>
  /** Aborted when the connection is over, by whichever side. */
  readonly left: AbortSignal
}

/** Without a word clients take the end of a connection for that of the command, and for a success. */
export const nodeStops: StreamStatus = {
  status: 'Failure',
  reason: 'InternalError',
  message: 'the node was stopped, and what was opened here has ended with it'
}
