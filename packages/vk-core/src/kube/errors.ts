/** What the API server said, as metav1.Status tells it, or why it could not be asked. */

/** Thrown for every answer of 400 and above. Ask `status` and `reason`, never the message. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** HTTP status. */
  readonly status: number
  /** metav1.StatusReason, such as `NotFound`, `AlreadyExists`, `Conflict`, `Expired`. Empty when there was none. */
  readonly reason: string
  readonly details: StatusDetails | undefined
  /** Seconds the server asks to wait, from `Retry-After` or the Status details. */
  readonly retryAfter: number | undefined

  constructor(status: number, body: StatusBody, retryAfter?: number) {
    super(body.message ?? `the API server answered ${status}`)
    this.status = status
    this.reason = body.reason ?? ''
    this.details = body.details
    this.retryAfter = retryAfter ?? body.details?.retryAfterSeconds
  }
}

export interface StatusDetails {
  readonly name?: string
  readonly kind?: string
  readonly uid?: string
  readonly retryAfterSeconds?: number
  readonly causes?: readonly {
    readonly reason?: string
    readonly message?: string
    readonly field?: string
  }[]
}

export interface StatusBody {
  readonly message?: string
  readonly reason?: string
  readonly code?: number
  readonly details?: StatusDetails
}

/** Thrown for a kubeconfig that cannot be used; the message names the file, the key and the fix. */
export class KubeConfigError extends Error {
  override readonly name = 'KubeConfigError'
}

export const isNotFound = (error: unknown) => error instanceof KubeError && error.status === 404

/** The resourceVersion is too old to be resumed: the list must be read again. */
export const isExpired = (error: unknown) =>
  error instanceof KubeError &&
  (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone')

export const isConflict = (error: unknown) => error instanceof KubeError && error.status === 409

/** The same call cannot succeed however often it is repeated, unless somebody changes rights or objects. */
export const isRejected = (error: unknown) =>
  error instanceof KubeError && [400, 403, 404, 405, 409, 410, 413, 415, 422].includes(error.status)
