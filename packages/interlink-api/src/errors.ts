import type { ErrorBody } from './wire/messages.ts'

/**
 * Whether the same call may be made again.
 * `no`: it will fail again. `yes`: it has provably not taken effect. `unknown-outcome`: it may have; ask first.
 */
export type Retry = 'no' | 'yes' | 'unknown-outcome'

interface ErrorEntry {
  /** HTTP status of the answer that carries the error. */
  readonly status: number
  /** `{name}` stands for a detail of that name. */
  readonly message: string
  readonly retry: Retry
}

/** Every error that this package raises. Codes of a plugin (`PLUGIN_…`) pass through unchanged beside them. */
export const errorTable = {
  IL_MALFORMED_JSON: { status: 400, message: 'the body is no JSON: {reason}', retry: 'no' },
  IL_INVALID_MESSAGE: { status: 400, message: '{field}: expected {expected}, found {found}', retry: 'no' },
  IL_INVALID_LOG_OPTIONS: { status: 400, message: '{field}: {reason}', retry: 'no' },
  IL_UNAUTHENTICATED: { status: 401, message: 'authentication failed: {reason}', retry: 'no' },
  IL_FORBIDDEN: { status: 403, message: 'not allowed: {reason}', retry: 'no' },
  IL_ROUTE_NOT_FOUND: { status: 404, message: 'there is no {method} {path} here', retry: 'no' },
  IL_NO_PLUGIN: {
    status: 421,
    message: 'no plugin of this API server is configured for {wanted}',
    retry: 'no'
  },
  IL_NOT_OFFERED: { status: 404, message: 'plugin {plugin} does not offer {capability}', retry: 'no' },
  IL_UPGRADE_REQUIRED: {
    status: 426,
    message: '{path} is a WebSocket of subprotocol {subprotocol}: send its handshake',
    retry: 'no'
  },
  IL_BODY_TOO_LARGE: {
    status: 413,
    message:
      'the body is larger than the limit of {limit} bytes; raise bodyLimit in the configuration of {server}',
    retry: 'no'
  },
  IL_JOB_SCRIPT_NOT_CONFIGURED: {
    status: 400,
    message: 'jobscriptURL is set, but this API server has no jobScriptBuild in its configuration',
    retry: 'no'
  },
  IL_JOB_SCRIPT_FAILED: { status: 502, message: 'the job script builder failed: {reason}', retry: 'yes' },
  IL_JOB_SCRIPT_TEMPLATE: {
    status: 422,
    message: 'the job script template of this API server fails for this pod: {reason}',
    retry: 'no'
  },
  IL_PLUGIN_REFUSED: { status: 400, message: 'plugin {plugin} refused with {status}: {body}', retry: 'no' },
  IL_PLUGIN_FAILED: {
    status: 502,
    message: 'plugin {plugin} failed with {status}: {body}',
    retry: 'unknown-outcome'
  },
  IL_PLUGINS_DOWN: { status: 503, message: 'plugins that do not answer: {plugins}', retry: 'yes' },
  IL_REFUSED: { status: 400, message: '{server} refused with {status}: {body}', retry: 'no' },
  IL_FAILED: { status: 502, message: '{server} failed with {status}: {body}', retry: 'unknown-outcome' },
  IL_BUSY: { status: 503, message: '{server} is busy ({status}): {body}', retry: 'yes' },
  IL_UNREACHABLE: { status: 503, message: '{server} cannot be reached: {reason}', retry: 'yes' },
  IL_CONNECTION_LOST: {
    status: 502,
    message: 'the connection to {server} was lost: {reason}',
    retry: 'unknown-outcome'
  },
  IL_TIMEOUT: { status: 504, message: '{server} did not answer within {ms} ms', retry: 'unknown-outcome' },
  IL_ABORTED: { status: 499, message: 'the call was aborted', retry: 'unknown-outcome' },
  IL_INVALID_ANSWER: {
    status: 502,
    message: '{server} gave an answer that is not understood: {reason}',
    retry: 'unknown-outcome'
  },
  IL_WATCH_SILENT: {
    status: 504,
    message: 'the watch of {server} was silent for {ms} ms',
    retry: 'yes'
  },
  IL_CONFIG: { status: 500, message: '{reason}', retry: 'no' },
  IL_INTERNAL: { status: 500, message: 'an error of this server: {reason}', retry: 'unknown-outcome' }
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof errorTable

/** What an error carries besides its message. Never a value that was sent: it may be secret. */
export interface ErrorDetails {
  readonly [name: string]: unknown
  readonly plugin?: string
  readonly refusals?: ErrorBody['refusals']
}

interface RelayedError {
  readonly code: string
  readonly message: string
  readonly status: number
  readonly retry: Retry
}

/**
 * The one error class of the package. Ask `code` and `retry`, never the message.
 * `code` is a key of {@link errorTable}, or the code of the server that answered, kept as it came.
 */
export class InterlinkError extends Error {
  override readonly name = 'InterlinkError'
  readonly code: string
  /** HTTP status: of the answer where there was one, else of the table. */
  readonly status: number
  readonly retry: Retry
  readonly details: ErrorDetails

  constructor(error: ErrorCode | RelayedError, details: ErrorDetails = {}, cause?: unknown) {
    const entry: RelayedError = typeof error === 'string' ? { code: error, ...errorTable[error] } : error
    super(
      typeof error === 'string' ? fill(entry.message, details) : entry.message,
      cause === undefined ? {} : { cause }
    )
    this.code = entry.code
    this.status = typeof details.status === 'number' ? details.status : entry.status
    this.retry = entry.retry
    this.details = details
  }
}

const fill = (template: string, details: ErrorDetails): string =>
  template.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? ''))

/** The JSON answer for an error; `session` is the id of the call. Errors that are not ours tell nothing of themselves. */
export function toBody(error: unknown, session: string): ErrorBody {
  const known =
    error instanceof InterlinkError
      ? error
      : new InterlinkError('IL_INTERNAL', { reason: 'see its log for this session' })
  return {
    code: known.code,
    message: known.message,
    session,
    retry: known.retry !== 'no',
    ...(known.retry === 'unknown-outcome' ? { outcome: 'unknown' as const } : {}),
    ...(known.details.answer ? { plugin: known.details.answer as ErrorBody['plugin'] } : {}),
    ...(known.details.refusals ? { refusals: known.details.refusals } : {})
  }
}

/** An error from the JSON body of an answer; undefined where the body is not one of ours. */
export function fromBody(
  body: unknown,
  status: number,
  details: ErrorDetails = {}
): InterlinkError | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { code, message, retry, outcome, plugin, refusals, session } = body as Partial<ErrorBody>
  if (typeof code !== 'string' || typeof message !== 'string') return undefined
  return new InterlinkError(
    { code, message, status, retry: outcome === 'unknown' ? 'unknown-outcome' : retry ? 'yes' : 'no' },
    {
      ...details,
      status,
      ...(session === undefined ? {} : { session }),
      ...(plugin === undefined ? {} : { answer: plugin }),
      ...(Array.isArray(refusals) ? { refusals } : {})
    }
  )
}
