import { compile } from '../src/kit/plan/compile.ts'
import { defaultSitePolicy, type SitePolicy } from '../src/kit/plan/policy.ts'
import type { Plan, Refusal } from '../src/kit/plan/plan.ts'
import type {
  Container,
  PodSpec,
  RetrievedContainer,
  RetrievedPodData
} from '@interlink-ts/interlink-api/wire'

export interface Given {
  readonly container?: Partial<Container> & Record<string, unknown>
  readonly spec?: Partial<PodSpec> & Record<string, unknown>
  readonly annotations?: Record<string, string>
  readonly sent?: Partial<RetrievedContainer>
  readonly policy?: Partial<SitePolicy>
}

/** A pod of one container `main`, and what the node sends with it. */
export function podData({ container, spec, annotations, sent }: Given = {}): RetrievedPodData {
  return {
    pod: {
      metadata: {
        name: 'pod',
        namespace: 'default',
        uid: '6b2e0d0c-1111-4222-8333-944455556666',
        annotations
      },
      spec: { containers: [{ name: 'main', image: 'host', ...container }], ...spec }
    },
    container: [{ name: 'main', configMaps: [], secrets: [], projectedvolumemaps: [], ...sent }]
  }
}

export const policyOf = (policy: Partial<SitePolicy> = {}): SitePolicy => ({
  ...defaultSitePolicy,
  ...policy
})

export function planOf(given: Given): Plan {
  const result = compile(podData(given), policyOf(given.policy))
  if ('refusals' in result) throw new Error(JSON.stringify(result.refusals))
  return result.plan
}

export function refusalsOf(given: Given): readonly Refusal[] {
  const result = compile(podData(given), policyOf(given.policy))
  return 'refusals' in result ? result.refusals : []
}

export const refusedFields = (given: Given): string[] => refusalsOf(given).map(({ field }) => field)
export const noticeReasons = (given: Given): string[] => planOf(given).notices.map(({ reason }) => reason)
export const base64 = (text: string): string => Buffer.from(text).toString('base64')
