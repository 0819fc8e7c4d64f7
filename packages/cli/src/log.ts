import { createRequire } from 'node:module'
import { pino, type Logger } from 'pino'
import type pinoPretty from 'pino-pretty'
import { logMixin } from '@interlink-ts/interlink-api/telemetry'
import { UsageError } from './errors.ts'
import { levels } from './log-levels.ts'

/** A service on no terminal is smaller without. */
const loadPretty = () => createRequire(import.meta.url)('pino-pretty') as typeof pinoPretty

/** JSON lines for services, readable lines on a terminal; always on stderr, so that stdout stays the answer. */
export function createLogger(level: string, format?: string): Logger {
  if (!(levels as readonly string[]).includes(level))
    throw new UsageError(`--log-level: "${level}" is none of ${levels.join(', ')}`)
  if (format !== undefined && format !== 'json' && format !== 'pretty')
    throw new UsageError(`--log-format: "${format}" is neither json nor pretty`)
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin: logMixin,
    redact: {
      paths: ['req.headers.authorization', 'headers.authorization', 'token', '*.token'],
      censor: '***'
    }
  }
  const readable = (format ?? (process.stderr.isTTY ? 'pretty' : 'json')) === 'pretty'
  return readable
    ? pino(
        options,
        loadPretty()({
          destination: 2,
          sync: true,
          colorize: process.stderr.isTTY && !process.env.NO_COLOR,
          translateTime: 'HH:MM:ss.l'
        })
      )
    : pino(options, pino.destination({ fd: 2, sync: false }))
}
