import type { RetrievedContainer } from '@interlink-ts/interlink-api/wire'
import { compileActions } from './actions.ts'
import type { Context, Placed } from './context.ts'
import { compileEnvironment } from './environment.ts'
import { expand } from './expand.ts'
import { compileMounts } from './mounts.ts'
import { absolutePath } from './paths.ts'
import type { PlannedContainer } from './plan.ts'
import { compileContainerSecurity } from './security.ts'
import type { CompiledVolume } from './volumes.ts'

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const

export interface ContainerInput {
  readonly sent: RetrievedContainer | undefined
  readonly volumes: ReadonlyMap<string, CompiledVolume>
  readonly limits: PlannedContainer['limits']
  /** Devices that its resource claims were allocated. */
  readonly claimed?: readonly string[]
  readonly hostname: string
}

export function compileContainer(placed: Placed, input: ContainerInput, context: Context): PlannedContainer {
  const { container, path, kind } = placed
  const { findings, expanded } = context
  const image = container.image ?? ''
  if (image === '' || /^-|[\s\0]/.test(image)) {
    findings.refuse(
      `${path}.image`,
      'an image is a reference or a path, without blanks and no option; correct it'
    )
  }
  const env = compileEnvironment(placed, input.sent, input.hostname, context)
  const words = (given: readonly string[] | undefined) =>
    given?.length
      ? given.map((word) => (expanded.args ? word : expand(word, (name) => env.get(name))))
      : undefined
  const command = words(container.command)
  const args = words(container.args)
  checkWords(placed, command, args, env, context)
  const workingDir = container.workingDir ? absolutePath(container.workingDir) : undefined
  if (container.workingDir && workingDir === undefined) {
    findings.refuse(`${path}.workingDir`, 'a working directory is absolute, without ".." and NUL; correct it')
  }
  checkRestart(placed, context)
  checkPorts(placed, context)
  const { volumeDevices, stdinOnce } = container
  if (volumeDevices?.length) {
    findings.refuse(`${path}.volumeDevices`, 'block devices cannot be given here; use a volume of files')
  }
  const messagePath = absolutePath(container.terminationMessagePath || '/dev/termination-log')
  if (messagePath === undefined) {
    findings.refuse(`${path}.terminationMessagePath`, 'is absolute, without ".." and NUL; correct it')
  }
  return {
    name: container.name,
    kind,
    image,
    pullPolicy: pullPolicies.find((policy) => policy === container.imagePullPolicy) ?? defaultPull(image),
    ...(command && { command }),
    ...(args && { args }),
    ...(workingDir && { workingDir }),
    env: [...env].map(([name, value]) => ({ name, value })),
    mounts: compileMounts(placed, input.volumes, env, context),
    limits: input.limits,
    ...(input.claimed?.length && { claimed: input.claimed }),
    ...compileActions(placed, context),
    ...compileContainerSecurity(placed, context),
    terminationMessagePath: messagePath ?? '',
    terminationMessagePolicy:
      container.terminationMessagePolicy === 'FallbackToLogsOnError' ? 'FallbackToLogsOnError' : 'File',
    stdin: container.stdin ?? false,
    ...(stdinOnce && { stdinOnce }),
    tty: container.tty ?? false
  }
}

/** The API server's default: a tag other than `latest`, or a digest, does not change. */
function defaultPull(image: string): PlannedContainer['pullPolicy'] {
  const tag = /:([^/:@]+)(?:@|$)/.exec(image)?.[1]
  return image.includes('@') || (tag !== undefined && tag !== 'latest') ? 'IfNotPresent' : 'Always'
}

function checkWords(
  { path }: Placed,
  command: readonly string[] | undefined,
  args: readonly string[] | undefined,
  env: ReadonlyMap<string, string>,
  { findings, policy }: Context
): void {
  let total = 0
  for (const [field, list] of Object.entries({ command, args })) {
    list?.forEach((word, index) => {
      const at = `${path}.${field}[${index}]`
      const bytes = Buffer.byteLength(word)
      total += bytes + 1
      if (word.includes('\0')) findings.refuse(at, 'an argument cannot hold NUL; remove it')
      if (bytes > policy.maxStringBytes) {
        findings.refuse(
          at,
          `longer than the ${policy.maxStringBytes} bytes that Linux takes; mount it as a file`
        )
      }
      if (isQuotedWhole(word)) {
        const text =
          'is wrapped in quotes, which reach the program as they stand; remove the inner ones if that is not meant'
        findings.notice('QuotedArgument', text, at)
      }
    })
  }
  for (const [name, value] of env) {
    const bytes = Buffer.byteLength(name) + Buffer.byteLength(value) + 1
    total += bytes + 1
    if (bytes > policy.maxStringBytes) {
      findings.refuse(
        `${path}.env`,
        `${name} is longer than the ${policy.maxStringBytes} bytes that Linux takes; mount it as a file`
      )
    }
  }
  if (total > policy.maxExecBytes) {
    findings.refuse(
      path,
      `arguments and environment are larger than ${policy.maxExecBytes} bytes; mount files instead`
    )
  }
}

function isQuotedWhole(word: string): boolean {
  const [quote = ''] = word
  return /['"]/.test(quote) && word.length > 2 && word.indexOf(quote, 1) === word.length - 1
}

function checkRestart({ container, path, kind }: Placed, { pod, findings }: Context): void {
  if (kind === 'ephemeral') return
  const own = container.restartPolicy
  const whole = pod.spec.restartPolicy ?? 'Always'
  if (own !== undefined && kind !== 'sidecar' && own !== whole) {
    findings.refuse(
      `${path}.restartPolicy`,
      `the pod's restartPolicy ${whole} holds for all its containers; remove it`
    )
  }
  const { restartPolicyRules } = container as { restartPolicyRules?: unknown[] }
  if (restartPolicyRules?.length) {
    findings.refuse(
      `${path}.restartPolicyRules`,
      'restart rules by exit code cannot be held here; remove them'
    )
  }
}

function checkPorts({ container, path }: Placed, { findings, policy }: Context): void {
  container.ports?.forEach((port, index) => {
    const at = `${path}.ports[${index}]`
    if (port.hostIP && port.hostIP !== '0.0.0.0' && port.hostIP !== '::') {
      findings.refuse(
        `${at}.hostIP`,
        'a port cannot be bound to one address here; listen on it in the program'
      )
    }
    if (!port.hostPort) return
    if (!policy.hostNetworkShared || port.hostPort !== port.containerPort) {
      findings.refuse(
        `${at}.hostPort`,
        'ports are not mapped here; make it equal to containerPort or remove it'
      )
    } else {
      const text = 'open on the machine the job runs on, which need not be the node'
      findings.notice('HostPort', text, `${at}.hostPort`)
    }
  })
}
