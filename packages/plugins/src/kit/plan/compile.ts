import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { compileClaims } from './claims.ts'
import { compileContainer } from './container.ts'
import { createContext, dnsLabel, placeContainers, type Context, type Placed } from './context.ts'
import { checkFields } from './fields.ts'
import { collectSent } from './files.ts'
import { Findings } from './findings.ts'
import { compileHosts } from './hosts.ts'
import { mountedVolumes } from './mounts.ts'
import type { Compiled, Plan } from './plan.ts'
import type { SitePolicy } from './policy.ts'
import { compilePullSecrets } from './pull-secrets.ts'
import { compileResources } from './resources.ts'
import { compilePodSecurity } from './security.ts'
import { checkScript, scripted } from './scripted.ts'
import { compileVolumes } from './volumes.ts'

const dnsSubdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const uidShape = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/
const restartPolicies = ['Always', 'OnFailure', 'Never'] as const

/**
 * Turns a pod and what the node sent with it into a plan, or says field by field what cannot be honoured.
 * Pure, and total for every decoded message: it does not throw.
 */
export function compile(data: RetrievedPodData, policy: SitePolicy): Compiled {
  const findings = new Findings()
  const context = createContext(data.pod, policy, findings)
  const { spec, metadata } = data.pod
  const placed = placeContainers(data.pod)
  checkIdentity(placed, context)
  checkFields(placed, context)
  checkUnsupported(context)
  if (data.jobScript) checkScript(context)
  const groups = compilePodSecurity(context)
  const hosts = compileHosts(context)
  const resources = compileResources(placed, context)
  const claims = compileClaims(placed, context)
  const volumes = compileVolumes(collectSent(data), mountedVolumes(placed), context)
  const credentials = compilePullSecrets(data.imagePullSecrets ?? [], context)
  const restartPolicy = restartPolicies.find((known) => known === (spec.restartPolicy ?? 'Always'))
  if (!restartPolicy) findings.refuse('spec.restartPolicy', `use one of ${restartPolicies.join(', ')}`)
  const deadlineSeconds = compileDeadline(context)
  const containers = placed.map((item) =>
    compileContainer(
      item,
      {
        sent: data.container.find((sent) => sent.name === item.container.name),
        volumes,
        limits: resources.limits.get(item) ?? {},
        claimed: claims.of.get(item) ?? [],
        hostname: hosts.hostname
      },
      context
    )
  )
  if (findings.refusals.length > 0) return { refusals: findings.refusals }
  const plan: Plan = {
    version: 1,
    pod: {
      uid: metadata.uid ?? '',
      name: metadata.name ?? '',
      namespace: metadata.namespace ?? 'default',
      nodeName: spec.nodeName ?? '',
      hostname: hosts.hostname,
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      ...(spec.nodeSelector ? { nodeSelector: spec.nodeSelector } : {}),
      ...(spec.tolerations?.length
        ? {
            tolerations: spec.tolerations.map(({ key, value }) => ({
              ...(key ? { key } : {}),
              ...(value ? { value } : {})
            }))
          }
        : {})
    },
    restartPolicy: restartPolicy ?? 'Never',
    graceSeconds: spec.terminationGracePeriodSeconds ?? policy.graceSeconds,
    ...(deadlineSeconds === undefined ? {} : { deadlineSeconds }),
    containers,
    volumes: [...volumes.values()].flatMap((volume) => (typeof volume === 'object' ? [volume.planned] : [])),
    ...(credentials.length > 0 ? { credentials } : {}),
    ...(claims.all.length > 0 ? { claimed: claims.all } : {}),
    ...groups,
    ...(spec.shareProcessNamespace ? { sharesProcesses: true } : {}),
    hosts: hosts.entries,
    resources: resources.pod,
    notices: findings.notices()
  }
  return { plan: data.jobScript ? scripted(plan, data.jobScript) : plan }
}

/** Names become file names and job names, so they are checked here as the API server checks them. */
function checkIdentity(placed: readonly Placed[], { pod, findings }: Context): void {
  const { uid = '', name = '', namespace = 'default' } = pod.metadata
  if (!uidShape.test(uid))
    findings.refuse(
      'metadata.uid',
      'a UID has letters, digits and dashes; send the pod as the API server has it'
    )
  if (!dnsSubdomain.test(name)) findings.refuse('metadata.name', 'a pod name is a DNS name; rename it')
  if (!dnsLabel.test(namespace))
    findings.refuse('metadata.namespace', 'a namespace is a DNS label; rename it')
  const names = new Set<string>()
  for (const { container, path } of placed) {
    if (!dnsLabel.test(container.name))
      findings.refuse(`${path}.name`, 'a container name is a DNS label; rename it')
    if (names.has(container.name))
      findings.refuse(`${path}.name`, `there are two containers ${container.name}; rename one`)
    names.add(container.name)
  }
  if (!placed.some(({ kind }) => kind === 'main'))
    findings.refuse('spec.containers', 'a pod has at least one container; add one')
}

interface FurtherSpec {
  readonly os?: { readonly name?: string }
  readonly dnsConfig?: object
}

function checkUnsupported({ pod, policy, findings }: Context): void {
  const { spec } = pod
  const { os, dnsConfig } = spec as FurtherSpec
  if (os?.name && os.name !== 'linux') findings.refuse('spec.os.name', 'this node runs Linux; use linux')
  const runtime = spec.runtimeClassName
  if (runtime && !policy.runtimeClasses.includes(runtime)) {
    const offer = policy.runtimeClasses.join(', ') || 'none'
    findings.refuse('spec.runtimeClassName', `no runtime ${runtime} here (this site has ${offer}); remove it`)
  }
  const dns = 'names are resolved as on the machine the job runs on'
  if (dnsConfig) findings.notice('DnsNotSet', dns, 'spec.dnsConfig')
  if (spec.dnsPolicy === 'None' || spec.dnsPolicy === 'ClusterFirstWithHostNet') {
    findings.notice('DnsNotSet', dns, 'spec.dnsPolicy')
  }
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    findings.refuse('spec.terminationGracePeriodSeconds', 'is below 0; raise it')
  }
}

function compileDeadline({ pod, policy, findings }: Context): number | undefined {
  const field = 'spec.activeDeadlineSeconds'
  const asked = pod.spec.activeDeadlineSeconds
  if (asked !== undefined && asked < 1) findings.refuse(field, 'is below 1; raise it')
  const wanted = asked ?? policy.deadlineSeconds
  const most = policy.maxDeadlineSeconds
  if (most === undefined || (wanted !== undefined && wanted <= most)) return wanted
  findings.notice('DeadlineSet', `the site ends every pod after ${most} s`, field)
  return most
}
