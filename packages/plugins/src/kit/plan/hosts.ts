import type { Context } from './context.ts'
import type { Plan } from './plan.ts'

const MAX_HOSTNAME = 63
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** The pod's host name as the kubelet makes it, and the lines of /etc/hosts: its own, then hostAliases. */
export function compileHosts({ pod, policy, findings }: Context): {
  hostname: string
  entries: Plan['hosts']
} {
  const { spec, metadata } = pod
  const further = spec as { hostnameOverride?: string; setHostnameAsFQDN?: boolean }
  for (const [field, value] of [
    ['hostname', spec.hostname],
    ['subdomain', spec.subdomain]
  ] as const) {
    if (value && !dnsLabel.test(value)) findings.refuse(`spec.${field}`, 'is a DNS label; correct it')
  }
  const short = spec.hostname || (metadata.name ?? '').slice(0, MAX_HOSTNAME).replace(/[-.]+$/, '')
  const full = spec.subdomain
    ? `${short}.${spec.subdomain}.${metadata.namespace ?? 'default'}.svc.${policy.clusterDomain}`
    : short
  const hostname = further.hostnameOverride || (further.setHostnameAsFQDN ? full : short)
  if (hostname.length > 64 || !/^[a-z0-9.-]+$/.test(hostname)) {
    const field = further.hostnameOverride
      ? 'spec.hostnameOverride'
      : further.setHostnameAsFQDN
        ? 'spec.setHostnameAsFQDN'
        : 'spec.hostname'
    findings.refuse(field, `${JSON.stringify(hostname)} is no host name of at most 64 characters; shorten it`)
  }
  if (!policy.backend.hostname && (spec.hostname || further.hostnameOverride || further.setHostnameAsFQDN)) {
    const field = spec.hostname
      ? 'spec.hostname'
      : further.hostnameOverride
        ? 'spec.hostnameOverride'
        : 'spec.setHostnameAsFQDN'
    findings.notice(
      'HostnameNotSet',
      'given as HOSTNAME and in /etc/hosts; the machine keeps its own name',
      field
    )
  }
  const own = { ip: pod.status?.podIP || '127.0.0.1', hostnames: [...new Set([full, hostname, short])] }
  const aliases = (spec.hostAliases ?? []).map(({ ip, hostnames = [] }, index) => {
    if (!/^[0-9a-fA-F.:]+$/.test(ip) || hostnames.some((name) => !/^[A-Za-z0-9._-]+$/.test(name))) {
      findings.refuse(`spec.hostAliases[${index}]`, 'needs an address and host names; correct it')
    }
    return { ip, hostnames: [...hostnames] }
  })
  return { hostname, entries: [own, ...aliases] }
}
