import type { Plan, PlannedAction, PlannedContainer, PlannedProbe, PlannedVolume } from './plan.ts'
import { redactWords } from './redact.ts'

export interface DescribeOptions {
  /** Prints environment values and file contents; without it only their sizes. @default false */
  readonly showValues?: boolean
}

/** A plan for people: one fact a line, indented by what it belongs to; values are sizes unless asked for. */
export function describePlan(plan: Plan, { showValues = false }: DescribeOptions = {}): string {
  const { pod, resources } = plan
  const extended = Object.entries(resources.extended).map(([name, count]) => `${name}=${count}`)
  const asked = [
    resources.cpuMillis > 0 ? `cpu=${resources.cpuMillis}m` : '',
    resources.memoryBytes > 0 ? `memory=${bytes(resources.memoryBytes)}` : '',
    resources.ephemeralBytes > 0 ? `storage=${bytes(resources.ephemeralBytes)}` : '',
    ...extended
  ].filter(Boolean)
  const lines = [
    `pod ${pod.namespace}/${pod.name} (${pod.uid})${pod.nodeName ? ` on ${pod.nodeName}` : ''}`,
    `  restart ${plan.restartPolicy}, grace ${plan.graceSeconds} s${plan.deadlineSeconds ? `, deadline ${plan.deadlineSeconds} s` : ''}`,
    `  hostname ${pod.hostname}`,
    `  asks for ${asked.join(' ') || 'nothing'}`,
    ...(plan.script === undefined
      ? []
      : [`  run by a job script of ${bytes(Buffer.byteLength(plan.script))}`]),
    ...plan.hosts.map(({ ip, hostnames }) => `  host ${ip} ${hostnames.join(' ')}`),
    ...plan.volumes.flatMap((volume) => describeVolume(volume, showValues)),
    ...plan.containers.flatMap((container) => describeContainer(container, showValues)),
    ...plan.notices.map(({ reason, message }) => `notice ${reason}: ${message}`)
  ]
  return `${lines.join('\n')}\n`
}

function describeVolume(volume: PlannedVolume, showValues: boolean): string[] {
  if (volume.kind === 'hostPath')
    return [`volume ${volume.name}: host ${volume.path}${volume.type && ` (${volume.type})`}`]
  if (volume.kind === 'emptyDir') {
    const limit = volume.sizeBytes === undefined ? '' : `, at most ${bytes(volume.sizeBytes)}`
    return [`volume ${volume.name}: empty directory${volume.memory ? ' in memory' : ''}${limit}`]
  }
  return [
    `volume ${volume.name}: ${volume.files.length} files${volume.secret ? ', secret' : ''}`,
    ...volume.files.map(({ path, mode, base64 }) => {
      const content = Buffer.from(base64, 'base64')
      const shown = showValues ? JSON.stringify(content.toString()) : bytes(content.length)
      return `  ${JSON.stringify(path)} 0${mode.toString(8)} ${shown}`
    })
  ]
}

function describeContainer(container: PlannedContainer, showValues: boolean): string[] {
  const { limits, probes, runAs } = container
  const value = (text: string) => (showValues ? JSON.stringify(text) : bytes(Buffer.byteLength(text)))
  const words = (list: readonly string[]) =>
    JSON.stringify(showValues ? list : redactWords(list, container.env))
  const lines = [
    `image ${container.image} (pull ${container.pullPolicy})`,
    container.command && `command ${words(container.command)}`,
    container.args && `args ${words(container.args)}`,
    container.workingDir && `in ${container.workingDir}`,
    ...container.env.map((entry) => `env ${entry.name} ${value(entry.value)}`),
    ...container.mounts.map(
      ({ volume, mountPath, subPath, readOnly }) =>
        `mount ${volume}${subPath ? `/${subPath}` : ''} at ${mountPath}${readOnly ? ' (read-only)' : ''}`
    ),
    limits.cpuMillis !== undefined && `limit cpu ${limits.cpuMillis}m`,
    limits.memoryBytes !== undefined && `limit memory ${bytes(limits.memoryBytes)}`,
    container.target && `sees ${container.target}`,
    runAs.user !== undefined && `user ${runAs.user}${runAs.group === undefined ? '' : `:${runAs.group}`}`,
    container.readOnlyRoot && 'read-only root',
    ...(['startup', 'liveness', 'readiness'] as const).map(
      (kind) => probes[kind] && describeProbe(kind, probes[kind])
    ),
    container.postStart && `postStart ${describeAction(container.postStart)}`,
    container.preStop && `preStop ${describeAction(container.preStop)}`,
    container.stopSignal !== 'TERM' && `stop signal ${container.stopSignal}`,
    container.stdin && `stdin${container.stdinOnce ? ' once' : ''}${container.tty ? ', terminal' : ''}`,
    `termination message ${container.terminationMessagePath} (${container.terminationMessagePolicy})`
  ]
  return [`${container.kind} ${container.name}`, ...lines.filter((line) => !!line).map((line) => `  ${line}`)]
}

function describeProbe(kind: string, probe: PlannedProbe): string {
  return (
    `${kind} ${describeAction(probe.action)} after ${probe.initialDelaySeconds} s, every ${probe.periodSeconds} s, ` +
    `timeout ${probe.timeoutSeconds} s, ${probe.successThreshold} up, ${probe.failureThreshold} down`
  )
}

function describeAction(action: PlannedAction): string {
  switch (action.type) {
    case 'exec':
      return `exec ${JSON.stringify(action.command)}`
    case 'http':
      return `${action.scheme}://${action.host}:${action.port}${action.path}${action.headers.map(({ name }) => ` +${name}`).join('')}`
    case 'tcp':
      return `tcp ${action.host}:${action.port}`
    case 'grpc':
      return `grpc :${action.port} ${action.service}`.trimEnd()
    case 'sleep':
      return `sleep ${action.seconds} s`
  }
}

function bytes(count: number): string {
  const step = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(step.length - 1, count > 0 ? Math.floor(Math.log2(count) / 10) : 0)
  return `${Number((count / 1024 ** power).toFixed(1))} ${step[power]}`
}
