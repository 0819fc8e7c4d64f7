import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { refused } from '../../errors.ts'
import type { Backend, Launch } from '../backend.ts'
import { compile } from '../plan/compile.ts'
import type { Notice, Plan, Refusal } from '../plan/plan.ts'
import type { SitePolicy } from '../plan/policy.ts'
import { jobDirectory } from './job-directory.ts'
import { backendFailed } from './job-failures.ts'

export interface PreparedJob {
  /** With the notices of the backend among its own. */
  readonly plan: Plan
  readonly dir: string
  readonly launches: Readonly<Record<string, Launch>>
  readonly inherit?: readonly string[]
  readonly seenAs?: string
}

/**
 * What a pod would become on a backend, without a trace on disk.
 * @throws PluginError `PLUGIN_REFUSED`; `details.refusals` names the fields.
 */
export async function prepareJob(
  data: RetrievedPodData,
  site: { readonly backend: Backend; readonly policy: SitePolicy; readonly root: string }
): Promise<PreparedJob> {
  const compiled = compile(data, site.policy)
  if ('refusals' in compiled) throw refused(compiled.refusals)
  const { plan } = compiled
  const dir = jobDirectory(site.root, plan.pod.namespace, plan.pod.uid)
  const rendered = await site.backend.render(plan, dir).catch((error: unknown) => {
    throw backendFailed(site.backend.name, `prepare pod ${plan.pod.uid}`, error)
  })
  if ('refusals' in rendered) throw refused(rendered.refusals)
  const { launches, inherit, seenAs } = rendered
  const missing: Refusal[] = plan.containers
    .filter(({ name }) => !Object.hasOwn(launches, name))
    .map(({ name }) => ({ field: name, message: `backend ${site.backend.name} says not how it is run` }))
  if (missing.length > 0) throw refused(missing)
  const notices = [
    ...plan.notices,
    ...rendered.notices,
    ...Object.values(launches).flatMap((launch) => launch.notices ?? [])
  ]
  return {
    plan: { ...plan, notices: unique(notices) },
    dir,
    launches,
    ...(inherit ? { inherit } : {}),
    ...(seenAs === undefined ? {} : { seenAs })
  }
}

/** Each notice once. */
export const unique = (notices: readonly Notice[]): Notice[] => [
  ...new Map(notices.map((notice) => [`${notice.reason} ${notice.message}`, notice])).values()
]

/** The policy as the backend can hold it: what it honours is its own to say, scripts instead of containers always. */
export async function policyOf(policy: SitePolicy, backend: Backend): Promise<SitePolicy> {
  const honours = await backend.honours?.()
  return {
    ...policy,
    hostNetworkShared: policy.hostNetworkShared && !honours?.ownNetwork,
    backend: { ...policy.backend, jobScripts: false, ...honours }
  }
}
