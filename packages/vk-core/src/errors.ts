/** Every error of this package that reaches somebody outside it, with how it is answered over HTTP. */

interface ErrorEntry {
  /** HTTP status. */
  readonly status: number
  /** metav1.StatusReason. */
  readonly reason: string
  /** `{name}` stands for a detail of that name. */
  readonly message: string
  /** Whether the same call may succeed later. */
  readonly retry: boolean
}

export const errorTable = {
  VK_UNAUTHENTICATED: {
    status: 401,
    reason: 'Unauthorized',
    message: 'the kubelet port serves nobody it does not know: send a bearer token or a client certificate',
    retry: false
  },
  VK_FORBIDDEN: {
    status: 403,
    reason: 'Forbidden',
    message: 'Forbidden (user={user}, verb={verb}, resource=nodes, subresource={subresource})',
    retry: false
  },
  VK_AUTHORIZER_UNREACHABLE: {
    status: 503,
    reason: 'ServiceUnavailable',
    message: 'the API server could not be asked whether this is allowed: {reason}',
    retry: true
  },
  VK_POD_NOT_FOUND: {
    status: 404,
    reason: 'NotFound',
    message: 'pod "{pod}" in namespace "{namespace}" is not on this node',
    retry: false
  },
  VK_CONTAINER_NOT_FOUND: {
    status: 404,
    reason: 'NotFound',
    message: 'container "{container}" not found in pod "{pod}"',
    retry: false
  },
  VK_INVALID_LOG_OPTION: { status: 400, reason: 'BadRequest', message: '{option}: {reason}', retry: false },
  VK_NO_PREVIOUS_LOG: {
    status: 400,
    reason: 'BadRequest',
    message: 'previous terminated container "{container}" in pod "{pod}" not found',
    retry: false
  },
  VK_NOT_STARTED: {
    status: 400,
    reason: 'BadRequest',
    message: 'container "{container}" in pod "{pod}" is waiting to start: {reason}',
    retry: true
  },
  VK_LOG_FAILED: {
    status: 500,
    reason: 'InternalError',
    message: 'the backend gave no log of container "{container}" in pod "{pod}": {reason}',
    retry: true
  },
  VK_NO_ANSWER_YET: {
    status: 503,
    reason: 'ServiceUnavailable',
    message:
      'the backend of node {node} has not answered yet, so {what} cannot be passed on; kubectl describe node says why',
    retry: true
  },
  VK_NOT_OFFERED: {
    status: 501,
    reason: 'NotImplemented',
    message: '{what} is not offered by the backend {backend} of node {node}',
    retry: false
  },
  VK_NOT_RUNNING: {
    status: 400,
    reason: 'BadRequest',
    message: 'container "{container}" in pod "{pod}" is not running',
    retry: true
  },
  VK_STREAM_FAILED: {
    status: 500,
    reason: 'InternalError',
    message: '{what} failed: {reason}',
    retry: true
  },
  VK_STREAM_PROTOCOL: {
    status: 400,
    reason: 'BadRequest',
    message: '{what} needs an upgrade to {expected}; asked for was {found}',
    retry: false
  },
  VK_INVALID_STREAM: { status: 400, reason: 'BadRequest', message: '{option}: {reason}', retry: false },
  VK_ROUTE_NOT_FOUND: {
    status: 404,
    reason: 'NotFound',
    message: 'there is no {method} {path} here',
    retry: false
  },
  VK_PAGE_HOST: {
    status: 421,
    reason: 'MisdirectedRequest',
    message: 'the page is not served under the name {host}; add it to page.hosts of the configuration',
    retry: false
  }
} as const satisfies Record<string, ErrorEntry>

export type VkErrorCode = keyof typeof errorTable

export class VkError extends Error {
  override readonly name = 'VkError'
  readonly code: VkErrorCode
  readonly status: number
  readonly reason: string
  readonly retry: boolean

  constructor(code: VkErrorCode, details: Readonly<Record<string, string>> = {}, cause?: unknown) {
    const entry = errorTable[code]
    super(
      entry.message.replace(/\{(\w+)\}/g, (_, name: string) => details[name] ?? ''),
      { cause }
    )
    this.code = code
    this.status = entry.status
    this.reason = entry.reason
    this.retry = entry.retry
  }
}
