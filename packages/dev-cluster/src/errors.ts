/** Answers of the API as metav1.Status, the way kubectl and client libraries expect them. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly reason: string
  readonly details: Details | undefined

  constructor(status: number, reason: string, message: string, details?: Details) {
    super(message)
    this.status = status
    this.reason = reason
    this.details = details
  }
}

export interface Cause {
  readonly reason?: string
  readonly message: string
  readonly field: string
}

export interface Details {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly causes?: readonly Cause[]
}

export const statusBody = (error: ApiError) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: error.message,
  reason: error.reason,
  ...(error.details ? { details: error.details } : {}),
  code: error.status
})

interface Named {
  readonly plural: string
  readonly group: string
  readonly kind: string
}

const qualified = ({ plural, group }: Named) => (group ? `${plural}.${group}` : plural)
const details = (resource: Named, name: string) => ({ name, group: resource.group, kind: resource.plural })

export const notFound = (resource: Named, name: string) =>
  new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, details(resource, name))
export const alreadyExists = (resource: Named, name: string) =>
  new ApiError(
    409,
    'AlreadyExists',
    `${qualified(resource)} "${name}" already exists`,
    details(resource, name)
  )
export const conflict = (resource: Named, name: string, why: string) =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`,
    details(resource, name)
  )
export const invalid = (resource: Named, name: string, causes: readonly Cause[]) =>
  new ApiError(
    422,
    'Invalid',
    `${resource.kind}${resource.group ? `.${resource.group}` : ''} "${name}" is invalid: ${causes.map((cause) => `${cause.field}: ${cause.message}`).join(', ')}`,
    { name, group: resource.group, kind: resource.kind, causes }
  )
export const badRequest = (message: string) => new ApiError(400, 'BadRequest', message)
export const forbidden = (message: string, details?: Details) =>
  new ApiError(403, 'Forbidden', message, details)
/** A refusal by admission, about one object. */
export const refused = (resource: Named, name: string, why: string, causes?: readonly Cause[]) =>
  forbidden(`${qualified(resource)} "${name}" is forbidden: ${why}`, {
    ...details(resource, name),
    ...(causes ? { causes } : {})
  })
export const timeout = (message: string) => new ApiError(504, 'Timeout', message)
export const invalidOption = (field: string, why: string) =>
  new ApiError(422, 'Invalid', `ListOptions.meta.k8s.io "" is invalid: ${field}: ${why}`, {
    group: 'meta.k8s.io',
    kind: 'ListOptions',
    causes: [{ field, message: why, reason: 'FieldValueInvalid' }]
  })
export const unavailable = (message: string) => new ApiError(503, 'ServiceUnavailable', message)
export const gone = (message: string) => new ApiError(410, 'Expired', message)
export const unroutable = () =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource')
export const notAllowed = (what: string) =>
  new ApiError(
    405,
    'MethodNotAllowed',
    `the server does not allow this method on the requested resource: ${what}`
  )
