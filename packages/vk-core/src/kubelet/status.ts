import type { VkError } from '../errors.ts'

/** metav1.Status, which kubectl prints as it prints the API server's own. */
export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Record<string, never>
  readonly status: 'Failure'
  readonly message: string
  readonly reason: string
  readonly code: number
}

export function statusOf({
  message,
  reason,
  status
}: Pick<VkError, 'message' | 'reason' | 'status'>): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code: status }
}
