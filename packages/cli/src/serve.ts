import { startTelemetry } from '@interlink-ts/interlink-api/telemetry'
import type { Logger } from 'pino'
import { onInterrupt } from './interrupt.ts'
import { createLogger } from './log.ts'

export interface ServiceOptions {
  readonly config?: string
  readonly logLevel?: string
  readonly logFormat?: string
}

/** Starts a role, serves until the first signal, then closes it and flushes telemetry. */
export async function serve(
  serviceName: string,
  options: ServiceOptions,
  start: (log: Logger) => Promise<{ close(): Promise<void> }>
): Promise<void> {
  const log = createLogger(options.logLevel ?? 'info', options.logFormat)
  const telemetry = await startTelemetry({ serviceName })
  const interrupted = onInterrupt(() => log.info('closing'))
  try {
    const running = await Promise.race([start(log), interrupted.done])
    // A role that is half started holds nothing that a crash would lose.
    if (!running) process.exit(130)
    await interrupted.done
    await running.close()
  } finally {
    interrupted.dispose()
    await telemetry?.shutdown()
  }
}
