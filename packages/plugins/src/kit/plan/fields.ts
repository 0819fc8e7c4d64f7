import type { Container, Probe } from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'

const words = (text: string) => new Set(text.trim().split(/\s+/))

/** Every field of v1.35 that the compiler reads or that `elsewhere` names. */
const known = {
  spec: words(`activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy
    enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname
    hostnameOverride imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority
    priorityClassName readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName
    schedulingGates schedulingGroup workloadRef securityContext serviceAccount serviceAccountName setHostnameAsFQDN
    shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes`),
  podSecurity: words(`appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser
    seLinuxChangePolicy seLinuxOptions seccompProfile supplementalGroups supplementalGroupsPolicy sysctls
    windowsOptions`),
  container:
    words(`args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe
    resizePolicy resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce
    terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir`),
  ephemeral: words('targetContainerName'),
  security:
    words(`allowPrivilegeEscalation appArmorProfile capabilities privileged procMount readOnlyRootFilesystem
    runAsGroup runAsNonRoot runAsUser seLinuxOptions seccompProfile windowsOptions`),
  resources: words('claims limits requests'),
  mount: words('mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr'),
  port: words('containerPort hostIP hostPort name protocol'),
  probe:
    words(`exec failureThreshold grpc httpGet initialDelaySeconds periodSeconds successThreshold tcpSocket
    terminationGracePeriodSeconds timeoutSeconds`),
  lifecycle: words('postStart preStop stopSignal'),
  hook: words('exec httpGet sleep tcpSocket'),
  exec: words('command'),
  http: words('host httpHeaders path port scheme'),
  tcp: words('host port'),
  grpc: words('port service')
}

/** Tells fields that this version does not know, so that nothing is dropped in silence. */
export function checkFields(placed: readonly Placed[], context: Context): void {
  const { spec } = context.pod
  const check = checker(context)
  check(spec, 'spec', 'spec')
  check(spec.securityContext, 'podSecurity', 'spec.securityContext')
  check(spec.resources, 'resources', 'spec.resources')
  for (const one of placed) checkContainerFields(one, context)
}

/** Those of one container. */
export function checkContainerFields({ container, path, kind }: Placed, context: Context): void {
  const check = checker(context)
  check(container, kind === 'ephemeral' ? ['container', 'ephemeral'] : 'container', path)
  check(container.securityContext, 'security', `${path}.securityContext`)
  check(container.resources, 'resources', `${path}.resources`)
  container.volumeMounts?.forEach((mount, index) => check(mount, 'mount', `${path}.volumeMounts[${index}]`))
  container.ports?.forEach((port, index) => check(port, 'port', `${path}.ports[${index}]`))
  checkActions(container, path, check)
}

type Kind = keyof typeof known
type Check = (object: object | undefined, kind: Kind | readonly Kind[], path: string) => void

const checker =
  ({ findings }: Context): Check =>
  (object, kinds, path) => {
    for (const [field, value] of Object.entries(object ?? {})) {
      if (value === undefined || [kinds].flat().some((kind) => known[kind as Kind].has(field))) continue
      findings.notice('UnknownField', 'not known to this version and without effect', `${path}.${field}`)
    }
  }

function checkActions(container: Container, path: string, check: Check): void {
  const action = (given: Probe | undefined, at: string) => {
    check(given?.exec, 'exec', `${at}.exec`)
    check(given?.httpGet, 'http', `${at}.httpGet`)
    check(given?.tcpSocket, 'tcp', `${at}.tcpSocket`)
    check(given?.grpc, 'grpc', `${at}.grpc`)
  }
  for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
    check(container[field], 'probe', `${path}.${field}`)
    action(container[field], `${path}.${field}`)
  }
  check(container.lifecycle, 'lifecycle', `${path}.lifecycle`)
  for (const field of ['postStart', 'preStop'] as const) {
    check(container.lifecycle?.[field], 'hook', `${path}.lifecycle.${field}`)
    action(container.lifecycle?.[field], `${path}.lifecycle.${field}`)
  }
}
