import { at, type Json, type KubeObject } from '../../object.ts'

export interface FailureAction {
  readonly action: 'FailJob' | 'FailIndex' | 'Ignore' | 'Count'
  readonly message: string
}

/** The first rule of a pod failure policy that a failed pod meets. Source: batch/v1, PodFailurePolicy. */
export function failureAction(policy: Json | undefined, pod: KubeObject): FailureAction {
  for (const [index, rule] of (at<Json[]>(policy, 'rules') ?? []).entries()) {
    const why = byExitCode(rule, pod) ?? byCondition(rule, pod)
    if (why)
      return {
        action: rule.action as FailureAction['action'],
        message: `${why} for pod ${pod.metadata.namespace}/${pod.metadata.name} matching ${String(rule.action)} rule at index ${index}`
      }
  }
  return { action: 'Count', message: '' }
}

function byExitCode(rule: Json, pod: KubeObject): string | undefined {
  const wanted = rule.onExitCodes as
    { containerName?: string; operator: string; values: number[] } | undefined
  if (!wanted) return undefined
  const statuses = ['initContainerStatuses', 'containerStatuses'].flatMap(
    (list) => at<Json[]>(pod, 'status', list) ?? []
  )
  for (const status of statuses) {
    const code = at<number>(status, 'state', 'terminated', 'exitCode')
    if (code === undefined || code === 0) continue
    if (wanted.containerName && wanted.containerName !== status.name) continue
    if (wanted.values.includes(code) === (wanted.operator === 'In'))
      return `Container ${String(status.name)} with exit code ${code}`
  }
  return undefined
}

function byCondition(rule: Json, pod: KubeObject): string | undefined {
  const patterns = (rule.onPodConditions as { type: string; status?: string }[] | undefined) ?? []
  const conditions = at<{ type: string; status: string }[]>(pod, 'status', 'conditions') ?? []
  const met = conditions.find((one) =>
    patterns.some((pattern) => pattern.type === one.type && (pattern.status ?? 'True') === one.status)
  )
  return met && `Pod has condition ${met.type}=${met.status}`
}
