import { PluginError } from '../../errors.ts'
import type { Launch, Variable } from '../backend.ts'
import type { Plan, PlannedAction, PlannedContainer, PlannedProbe } from '../plan/plan.ts'
import { containerEnvironment, DEFAULT_PATH, instanceMark } from '../runtimes/variables.ts'
import { shellQuote, shellWords } from './quote.ts'

export interface JobFile {
  /** Relative to the job directory. */
  readonly path: string
  readonly mode: number
  readonly text: string
}

export interface RenderOptions {
  /**
   * Variables of the machine's environment that the job hands on to its launches besides PATH (for the runtimes
   * in front of a container), HOME, USER, LOGNAME, LANG and TMPDIR, such as XDG_RUNTIME_DIR. @default []
   */
  readonly inherit?: readonly string[]
}

/** Linux takes no longer string as an argument or in the environment, the ending NUL included: execve(2), MAX_ARG_STRLEN. */
const MAX_STRING = 128 * 1024

/** Variables of the machine's environment besides PATH that every job hands on to its launches. */
export const INHERITED = [
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'INTERLINK_SH',
  'INTERLINK_SECOND_MS'
]

/** Names that a shell either cannot export or treats in a way of its own (dash(1), bash(1)). */
const SHELL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const SHELL_OWN = new Set(
  'UID EUID PPID GROUPS SHELLOPTS BASHOPTS BASHPID BASH_ARGC BASH_ARGV BASH_LINENO BASH_SOURCE BASH_VERSINFO FUNCNAME DIRSTACK RANDOM SRANDOM SECONDS EPOCHSECONDS EPOCHREALTIME LINENO OPTIND OPTARG IFS PWD OLDPWD SHLVL _ POSIXLY_CORRECT ENV BASH_ENV'.split(
    ' '
  )
)

/**
 * The files that make a job of a plan: `job.sh`, `conf` and `c/<container>/…`; see docs/reference/job-directory.md.
 * Pure. `dir` is the absolute job directory as the machine sees it that runs the job.
 * @throws PluginError PLUGIN_NUL, PLUGIN_TOO_LONG, PLUGIN_NO_LAUNCH
 */
export function renderJob(
  plan: Plan,
  launches: Readonly<Record<string, Launch>>,
  dir: string,
  options: RenderOptions = {}
): { readonly files: readonly JobFile[] } {
  return {
    files: [
      { path: 'job.sh', mode: 0o700, text: jobScript(plan, dir, options.inherit ?? []) },
      { path: 'conf', mode: 0o600, text: jobConf(plan) },
      ...plan.containers.flatMap((container) => {
        const launch = launches[container.name]
        if (!launch) throw new PluginError('PLUGIN_NO_LAUNCH', { container: container.name })
        return containerFiles(plan, container, launch, dir)
      })
    ]
  }
}

function jobScript(plan: Plan, dir: string, inherit: readonly string[]): string {
  const kept = [...INHERITED, ...inherit.filter((name) => SHELL_NAME.test(name))]
  return [
    '#!/bin/sh',
    `# Runs pod ${plan.pod.namespace}/${plan.pod.name} (${plan.pod.uid}) to its end.`.replace(/[\r\n]/g, ' '),
    'exec env -i \\',
    `  PATH="\${PATH:-${DEFAULT_PATH}}" \\`,
    ...[...new Set(kept)].map((name) => `  \${${name}+"${name}=$${name}"} \\`),
    `  \${INTERLINK_SH:-/bin/sh} ${shellWords([`${dir}/supervisor.sh`, 'run', dir])} "$@"`,
    ''
  ].join('\n')
}

function jobConf(plan: Plan): string {
  return assignments({
    uid: plan.pod.uid,
    pod: plan.pod.name,
    namespace: plan.pod.namespace,
    grace: plan.graceSeconds,
    deadline: plan.deadlineSeconds ?? '',
    restart_policy: plan.restartPolicy,
    containers: plan.containers.map(({ name }) => name).join(' ')
  })
}

/** `c/<container>/…` of one container, as {@link renderJob} has it. */
export function containerFiles(
  plan: Plan,
  container: PlannedContainer,
  launch: Launch,
  dir: string
): JobFile[] {
  const at = (name: string, text: string, mode = 0o600): JobFile => ({
    path: `c/${container.name}/${name}`,
    mode,
    text
  })
  const script = (mode: 'start' | 'enter', words: readonly string[], rest: string) => {
    for (const word of words) checkLength(word, `an argument of container ${container.name}`)
    const argv = [`${dir}/supervisor.sh`, mode, dir, container.name, ...words]
    const outer = (launch.outer?.[mode] ?? []).map((word) => `${shellQuote(word)} `).join('')
    return at(
      mode === 'start' ? 'run' : 'enter',
      `#!/bin/sh\nexec ${outer}\${INTERLINK_SH:-/bin/sh} ${shellWords(argv)}${rest}\n`,
      0o700
    )
  }
  const env = checked(launch.toolEnvironment ?? containerEnvironment(plan.pod, container), container)
  const exportable = env.filter(([name]) => SHELL_NAME.test(name) && !SHELL_OWN.has(name))
  const odd = env.filter((entry) => !exportable.includes(entry)).map(([name]) => name)
  const { startup, liveness, readiness } = container.probes
  return [
    script('start', launch.run, ''),
    script('enter', launch.enter, ' "$@"'),
    at('env', env.map(([name, value]) => `${name}=${value}\0`).join('')),
    at(
      'env.sh',
      [...exportable, ['INTERLINK_INSTANCE', instanceMark(plan.pod, container)] as const]
        .map(([name, value]) => `export ${name}=${shellQuote(value)}\n`)
        .join('')
    ),
    ...(odd.length > 0 ? [at('odd', odd.join(' '))] : []),
    ...(launch.files ?? []).map(({ name, text }) => at(name, text)),
    at(
      'conf',
      assignments({
        kind: container.kind,
        cwd: launch.cwd ?? '/',
        run_user: launch.account?.user ?? '',
        run_group: launch.account?.group ?? '',
        run_groups: launch.account?.groups.join(' ') ?? '',
        interactive: container.tty ? 'terminal' : container.stdin ? 'pipes' : '',
        stop_signal: container.stopSignal,
        stop_child: launch.signalled === 'child' ? 1 : '',
        announced: launch.outer?.announces ? 1 : '',
        memory: container.limits.memoryBytes || '',
        message_policy: container.terminationMessagePolicy,
        post_start: container.postStart ? 1 : '',
        pre_stop: container.preStop ? 1 : '',
        ...probeConf('startup', startup),
        ...probeConf('liveness', liveness),
        ...probeConf('readiness', readiness)
      })
    ),
    ...Object.entries({
      startup: startup?.action,
      liveness: liveness?.action,
      readiness: readiness?.action,
      postStart: container.postStart,
      preStop: container.preStop
    }).flatMap(([name, action]) => (action ? [at(name, `${actionLine(action)}\n`)] : []))
  ]
}

function checked(variables: readonly Variable[], container: PlannedContainer): (readonly [string, string])[] {
  return variables.map(({ name, value }) => {
    if (name.includes('\0') || value.includes('\0')) throw new PluginError('PLUGIN_NUL', { value: name })
    checkLength(`${name}=${value}`, `the environment variable ${name} of container ${container.name}`)
    return [name, value]
  })
}

function checkLength(value: string, field: string): void {
  const bytes = Buffer.byteLength(value)
  if (bytes >= MAX_STRING) throw new PluginError('PLUGIN_TOO_LONG', { field, bytes, limit: MAX_STRING - 1 })
}

function probeConf(name: string, probe: PlannedProbe | undefined): Record<string, string | number> {
  return {
    [`${name}_delay`]: probe?.initialDelaySeconds ?? '',
    [`${name}_period`]: probe?.periodSeconds ?? '',
    [`${name}_timeout`]: probe?.timeoutSeconds ?? '',
    [`${name}_success`]: probe?.successThreshold ?? '',
    [`${name}_failure`]: probe?.failureThreshold ?? '',
    [`${name}_grace`]: probe?.terminationGraceSeconds ?? ''
  }
}

function actionLine(action: PlannedAction): string {
  switch (action.type) {
    case 'exec':
      return shellWords(['exec_action', ...action.command])
    case 'http':
      return shellWords([
        'http_action',
        action.scheme,
        action.host,
        String(action.port),
        action.path,
        ...action.headers.map(({ name, value }) => `${name}: ${value}`)
      ])
    case 'tcp':
      return shellWords(['tcp_action', action.host, String(action.port)])
    case 'grpc':
      return shellWords(['grpc_action', '127.0.0.1', String(action.port), action.service])
    case 'sleep':
      return shellWords(['sleep_action', String(action.seconds)])
  }
}

const assignments = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${shellQuote(String(value))}\n`)
    .join('')
