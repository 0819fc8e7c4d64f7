import type { Container, LifecycleHandler, Probe } from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'
import type { PlannedAction, PlannedContainer, PlannedProbe } from './plan.ts'

/** Where the job's own ports are reached from inside it. */
const SELF = '127.0.0.1'

export type CompiledActions = Pick<PlannedContainer, 'probes' | 'postStart' | 'preStop' | 'stopSignal'>

/** Probes, hooks and the stop signal of a container. */
export function compileActions(placed: Placed, context: Context): CompiledActions {
  const { container, path, kind } = placed
  const { startupProbe, livenessProbe, readinessProbe, lifecycle } = container
  if (kind === 'init') {
    for (const field of ['startupProbe', 'livenessProbe', 'readinessProbe', 'lifecycle'] as const) {
      if (container[field]) {
        context.findings.refuse(
          `${path}.${field}`,
          'an init container runs to its end; only a sidecar may have this'
        )
      }
    }
  }
  const probe = (given: Probe | undefined, field: string, once: boolean) =>
    given && compileProbe(given, `${path}.${field}`, once, container, context)
  const hook = (given: LifecycleHandler | undefined, field: string) =>
    given && compileHook(given, `${path}.lifecycle.${field}`, container, context)
  const startup = probe(startupProbe, 'startupProbe', true)
  const liveness = probe(livenessProbe, 'livenessProbe', true)
  const readiness = probe(readinessProbe, 'readinessProbe', false)
  const postStart = hook(lifecycle?.postStart, 'postStart')
  const preStop = hook(lifecycle?.preStop, 'preStop')
  return {
    probes: { ...(startup && { startup }), ...(liveness && { liveness }), ...(readiness && { readiness }) },
    ...(postStart && { postStart }),
    ...(preStop && { preStop }),
    stopSignal: stopSignal(lifecycle?.stopSignal, `${path}.lifecycle.stopSignal`, context)
  }
}

function compileProbe(
  probe: Probe,
  path: string,
  once: boolean,
  container: Container,
  context: Context
): PlannedProbe | undefined {
  const { findings } = context
  const action = compileAction(probe, path, container, context)
  const number = (field: keyof Probe & string, fallback: number, minimum: number) => {
    const value = probe[field] as number | undefined
    // The API server writes 0 for what it defaults to 1.
    if (value === undefined || (value === 0 && minimum > 0)) return fallback
    if (value < minimum) findings.refuse(`${path}.${field}`, `${value} is below ${minimum}; raise it`)
    return value
  }
  const successThreshold = number('successThreshold', 1, 1)
  if (once && successThreshold !== 1) {
    findings.refuse(`${path}.successThreshold`, 'must be 1 for startup and liveness; remove it')
  }
  const grace = probe.terminationGracePeriodSeconds
  if (grace !== undefined && !once) {
    findings.refuse(`${path}.terminationGracePeriodSeconds`, 'a readiness probe ends nothing; remove it')
  }
  return (
    action && {
      action,
      initialDelaySeconds: number('initialDelaySeconds', 0, 0),
      timeoutSeconds: number('timeoutSeconds', 1, 1),
      periodSeconds: number('periodSeconds', 10, 1),
      successThreshold,
      failureThreshold: number('failureThreshold', 3, 1),
      ...(grace === undefined
        ? {}
        : { terminationGraceSeconds: number('terminationGracePeriodSeconds', 30, 1) })
    }
  )
}

function compileHook(
  hook: LifecycleHandler,
  path: string,
  container: Container,
  context: Context
): PlannedAction | undefined {
  if (!hook.tcpSocket) return compileAction(hook, path, container, context)
  context.findings.refuse(
    `${path}.tcpSocket`,
    'Kubernetes knows no tcpSocket hook any more; use exec or httpGet'
  )
  return undefined
}

function compileAction(
  given: Probe & LifecycleHandler,
  path: string,
  container: Container,
  context: Context
): PlannedAction | undefined {
  const { findings } = context
  const { exec, httpGet, tcpSocket, grpc, sleep } = given
  if ([exec, httpGet, tcpSocket, grpc, sleep].filter(Boolean).length !== 1) {
    findings.refuse(path, 'needs exactly one of exec, httpGet, tcpSocket, grpc and sleep')
    return undefined
  }
  const port = (value: number | string, field: string) =>
    resolvePort(value, `${path}.${field}.port`, container, context)
  const checkHost = (host: string | undefined, field: string) => {
    if (host === undefined || host === '') return SELF
    if (/[^A-Za-z0-9.:_-]/.test(host))
      findings.refuse(`${path}.${field}.host`, 'not a host name or address; correct it')
    return host
  }
  if (exec) {
    const command = exec.command ?? []
    if (command.length === 0) findings.refuse(`${path}.exec.command`, 'the command is empty; give one')
    if (command.some((part) => part.includes('\0'))) {
      findings.refuse(`${path}.exec.command`, 'an argument cannot hold NUL; remove it')
    }
    return { type: 'exec', command }
  }
  if (httpGet) {
    const scheme = (httpGet.scheme || 'HTTP').toLowerCase()
    if (scheme !== 'http' && scheme !== 'https') {
      findings.refuse(`${path}.httpGet.scheme`, `${httpGet.scheme} is not there; use HTTP or HTTPS`)
      return undefined
    }
    const headers = (httpGet.httpHeaders ?? []).map(({ name, value }) => ({ name, value }))
    headers.forEach(({ name, value }, index) => {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\r\n\0]/.test(value)) {
        findings.refuse(`${path}.httpGet.httpHeaders[${index}]`, 'not an HTTP header; correct name and value')
      }
    })
    const target = httpGet.path || '/'
    if (/[\0-\x20\x7f]/.test(target))
      findings.refuse(`${path}.httpGet.path`, 'holds blanks or control characters; encode them')
    const host = checkHost(httpGet.host, 'httpGet')
    return {
      type: 'http',
      scheme,
      host,
      port: port(httpGet.port, 'httpGet'),
      path: target.startsWith('/') ? target : `/${target}`,
      headers
    }
  }
  if (tcpSocket)
    return {
      type: 'tcp',
      host: checkHost(tcpSocket.host, 'tcpSocket'),
      port: port(tcpSocket.port, 'tcpSocket')
    }
  if (grpc) {
    const service = grpc.service ?? ''
    if (/[\0\r\n]/.test(service)) findings.refuse(`${path}.grpc.service`, 'not a service name; correct it')
    return { type: 'grpc', port: port(grpc.port, 'grpc'), service }
  }
  const seconds = sleep?.seconds ?? 0
  if (seconds < 0) findings.refuse(`${path}.sleep.seconds`, 'is below 0; raise it')
  return { type: 'sleep', seconds }
}

function resolvePort(
  value: number | string,
  path: string,
  container: Container,
  { findings }: Context
): number {
  const named = container.ports?.find((port) => port.name === value)?.containerPort
  const port = named ?? (/^\d+$/.test(String(value)) ? Number(value) : undefined)
  if (port === undefined) findings.refuse(path, `the container has no port named ${value}; add it to ports`)
  else if (port < 1 || port > 65535) findings.refuse(path, `${port} is no port; use 1 to 65535`)
  return port ?? 0
}

const signals = (
  'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM ' +
  'TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ'
).split(' ')

/** What `kill -s` takes in every shell: a name without SIG, or the number of a real-time signal (signal(7)). */
function stopSignal(name: string | undefined, path: string, { findings }: Context): string {
  if (!name) return 'TERM'
  const short = name.replace(/^SIG/, '')
  if (signals.includes(short)) return short
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(short)
  const number =
    realtime && (realtime[1] === 'MIN' ? 34 : 64) + Number(`${realtime[2] ?? '+'}${realtime[3] ?? 0}`)
  if (number && number >= 34 && number <= 64) return String(number)
  findings.refuse(path, `${name} is no signal; use e.g. SIGTERM or SIGINT`)
  return 'TERM'
}
