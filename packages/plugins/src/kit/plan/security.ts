import { containerPaths, type Context, type Placed } from './context.ts'
import type { Plan, PlannedContainer, Refusal } from './plan.ts'

interface Profile {
  readonly type?: string
}

/** Pod and container security contexts in one: the fields of both, v1.35. */
interface Security {
  readonly privileged?: boolean
  readonly runAsUser?: number
  readonly runAsGroup?: number
  readonly runAsNonRoot?: boolean
  readonly readOnlyRootFilesystem?: boolean
  readonly allowPrivilegeEscalation?: boolean
  readonly procMount?: string
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] }
  readonly seccompProfile?: Profile
  readonly appArmorProfile?: Profile
  readonly seLinuxOptions?: object
  readonly seLinuxChangePolicy?: string
  readonly windowsOptions?: object
  readonly fsGroup?: number
  readonly fsGroupChangePolicy?: string
  readonly supplementalGroups?: readonly number[]
  readonly supplementalGroupsPolicy?: string
  readonly sysctls?: readonly { readonly name: string }[]
}

/**
 * What a pod asks of the account it runs under. A job runs as an ordinary account of the site, so that what a
 * hardened pod gives up is not there in the first place; what widens rights is refused.
 */
export function compilePodSecurity(context: Context): Pick<Plan, 'fileGroup' | 'groups'> {
  const { pod, policy, findings } = context
  const { spec } = pod
  const path = 'spec.securityContext'
  const security = (spec.securityContext ?? {}) as Security
  checkShared(security, path, context)
  security.sysctls?.forEach(({ name }, index) => {
    findings.refuse(`${path}.sysctls[${index}]`, `the kernel parameter ${name} cannot be set here; remove it`)
  })
  if (!policy.backend.groups) {
    const text = "files belong to the job's own account and group"
    if (security.fsGroup !== undefined) findings.notice('GroupsNotGiven', text, `${path}.fsGroup`)
    if (security.supplementalGroups?.length)
      findings.notice('GroupsNotGiven', text, `${path}.supplementalGroups`)
  }
  if (spec.hostPID) findings.refuse('spec.hostPID', "the machine's processes are not open to pods; remove it")
  if (spec.hostIPC) findings.refuse('spec.hostIPC', "the machine's IPC is not open to pods; remove it")
  if (spec.hostNetwork) {
    if (policy.hostNetworkShared) {
      const text = 'the job uses the network of the machine it runs on, which need not be the node'
      findings.notice('HostNetwork', text, 'spec.hostNetwork')
    } else findings.refuse('spec.hostNetwork', 'jobs have a network of their own here; remove it')
  }
  if (spec.hostUsers === false && !policy.backend.userNamespace) {
    const text = 'no user namespace of its own; the job runs without root rights anyway'
    findings.notice('NoUserNamespace', text, 'spec.hostUsers')
  }
  if (spec.shareProcessNamespace) {
    const text = 'processes see each other, and those of the machine as far as its account may'
    if (policy.processesShared) findings.notice('ProcessesShared', text, 'spec.shareProcessNamespace')
    else findings.refuse('spec.shareProcessNamespace', 'containers cannot see each other here; remove it')
  }
  return {
    ...(security.fsGroup === undefined ? {} : { fileGroup: security.fsGroup }),
    ...(security.supplementalGroups?.length ? { groups: security.supplementalGroups } : {})
  }
}

export function compileContainerSecurity(
  { container, path: at, kind }: Placed,
  context: Context
): Pick<PlannedContainer, 'runAs' | 'readOnlyRoot'> {
  const { pod, policy, findings } = context
  const path = `${at}.securityContext`
  const own = (container.securityContext ?? {}) as Security
  const whole = (pod.spec.securityContext ?? {}) as Security
  checkShared(own, path, context)
  if (own.privileged)
    findings.refuse(`${path}.privileged`, 'privileged containers cannot run here; remove it')
  checkAdded(own.capabilities?.add ?? [], kind, `${path}.capabilities.add`, context)
  if (own.procMount !== undefined && own.procMount !== 'Default') {
    findings.refuse(`${path}.procMount`, `${own.procMount} cannot be given here; use Default`)
  }
  if (own.capabilities?.drop?.length && !policy.backend.capabilities) {
    const text = "nothing to drop, as the job has no more rights than the site's account"
    findings.notice('CapabilitiesNotDropped', text, `${path}.capabilities.drop`)
  }
  if (own.allowPrivilegeEscalation === false && !policy.backend.noNewPrivileges) {
    const text = "set-uid programs are not blocked; the site's account decides what they may do"
    findings.notice('NoNewPrivilegesNotSet', text, `${path}.allowPrivilegeEscalation`)
  }
  if (own.readOnlyRootFilesystem && !policy.backend.readOnlyRoot) {
    const text = "the root is as writable as the site's account makes it"
    findings.notice('RootNotReadOnly', text, `${path}.readOnlyRootFilesystem`)
  }
  const user = own.runAsUser ?? whole.runAsUser
  const group = own.runAsGroup ?? whole.runAsGroup
  const nonRoot = own.runAsNonRoot ?? whole.runAsNonRoot
  if (nonRoot && user === 0) {
    findings.refuse(`${path}.runAsUser`, 'asks for root where runAsNonRoot forbids it; give another uid')
  }
  return {
    runAs: {
      ...(user === undefined ? {} : { user }),
      ...(group === undefined ? {} : { group }),
      ...(nonRoot ? { nonRoot } : {})
    },
    readOnlyRoot: own.readOnlyRootFilesystem ?? false
  }
}

/** `kubectl debug` asks for SYS_PTRACE by default: processes of the job's own account are traced without it. */
function checkAdded(
  added: readonly string[],
  kind: PlannedContainer['kind'],
  path: string,
  { findings }: Context
): void {
  const wider = added.filter((name) => kind !== 'ephemeral' || name !== 'SYS_PTRACE')
  if (wider.length > 0) findings.refuse(path, `${wider.join(', ')} cannot be given here; remove it`)
  else if (added.length > 0)
    findings.notice('CapabilitiesNotAdded', "processes of the job's own account can be traced without", path)
}

/**
 * What a kubelet says at the start of a container (CreateContainerConfigError), where all containers run as one
 * account that is root.
 */
export const refuseRoot = ({ containers }: Plan): Refusal[] =>
  containers.flatMap(({ name, runAs }, index) =>
    runAs.nonRoot
      ? [
          {
            field: `${containerPaths(containers)[index]!}.securityContext.runAsNonRoot`,
            message:
              `container ${name} has runAsNonRoot and would run as root, which is the account of the jobs here; ` +
              'remove it, or ask the site for an account that is not root'
          }
        ]
      : []
  )

/** The fields that pods and containers share. */
function checkShared(security: Security, path: string, { policy, findings }: Context): void {
  const { backend } = policy
  if (!backend.user) {
    const text = "the job runs under the site's account, not under the uid and gid it names"
    for (const field of ['runAsUser', 'runAsGroup'] as const) {
      if (security[field] !== undefined) findings.notice('UserNotMapped', text, `${path}.${field}`)
    }
    if (security.runAsNonRoot) {
      findings.notice('RunAsNonRoot', "held by the site's account, which is not root", `${path}.runAsNonRoot`)
    }
  }
  if (!backend.seccomp) {
    const text = 'not applied; the job is confined as the site confines it'
    for (const field of ['seccompProfile', 'appArmorProfile'] as const) {
      const type = security[field]?.type
      if (type && type !== 'Unconfined') findings.notice('ConfinementNotApplied', text, `${path}.${field}`)
    }
    if (security.seLinuxOptions) findings.notice('ConfinementNotApplied', text, `${path}.seLinuxOptions`)
  }
  if (security.windowsOptions) findings.refuse(`${path}.windowsOptions`, 'this node runs Linux; remove it')
}
