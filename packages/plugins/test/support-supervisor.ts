import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Launch } from '../src/kit/backend.ts'
import { readJobState, type ContainerRecord, type JobState } from '../src/kit/jobs/job-state.ts'
import type { Plan, PlannedContainer } from '../src/kit/plan/plan.ts'
import { writeContainer, writeJob } from '../src/kit/supervisor/write-job.ts'

/** A shell, and the tools beside it. */
export interface World {
  readonly name: string
  readonly sh: string
  readonly path: string
}

const PATH = process.env.PATH ?? '/usr/bin:/bin'

/** How much longer things take here than on a machine with nothing else to do. */
const slowness = Math.min(4, Math.max(1, loadavg()[0]! / availableParallelism()))

/** The three shells with the tools of this machine, and busybox with nothing else. */
export async function worlds(t: Test): Promise<World[]> {
  const alone = await mkdtemp(join(tmpdir(), 'interlink-busybox-'))
  t.teardown(() => rm(alone, { recursive: true, force: true }))
  const applets = await output('busybox', ['--list'])
  await Promise.all(
    applets
      .trim()
      .split('\n')
      .map((name) => symlink('/usr/bin/busybox', join(alone, name)))
  )
  return [
    { name: 'dash', sh: 'dash', path: PATH },
    { name: 'bash', sh: 'bash', path: PATH },
    { name: 'busybox ash', sh: 'busybox sh', path: PATH },
    { name: 'busybox alone', sh: `${alone}/busybox sh`, path: alone }
  ]
}

/** Runs a scenario in every world, side by side. */
export async function inEachWorld(
  t: Test
): Promise<(name: string, scenario: (t: Test, world: World) => Promise<unknown>) => void> {
  const all = await worlds(t)
  return (name, scenario) =>
    void t.test(name, { buffered: true }, async (t) => {
      await inAll(all, (world) => scenario(t, world))
    })
}

/** Side by side and each to its end, lest a failure in one world leaves the jobs of another running. */
export async function inAll(
  all: readonly World[],
  scenario: (world: World) => Promise<unknown>
): Promise<void> {
  const failed = (await Promise.allSettled(all.map(scenario))).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

/** dash with the applets of busybox but for those that speak with servers, and with the programs given. */
export async function bareWorld(t: Test, programs: Readonly<Record<string, string>> = {}): Promise<World> {
  const path = await mkdtemp(join(tmpdir(), 'interlink-bare-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  const speaking = [
    'nc',
    'wget',
    'ssl_client',
    'telnet',
    'dash',
    'sh',
    'bash',
    'ash',
    ...Object.keys(programs)
  ]
  const applets = (await output('busybox', ['--list'])).trim().split('\n')
  const links = applets.filter((name) => !speaking.includes(name)).map((name) => [name, '/usr/bin/busybox'])
  for (const [name = '', target = ''] of [...links, ['dash', '/bin/dash'], ...Object.entries(programs)])
    await symlink(target, join(path, name))
  return { name: `dash with ${Object.keys(programs).join(' and ') || 'nothing'}`, sh: `${path}/dash`, path }
}

export const isAlone = (world: World): boolean => world.name === 'busybox alone'

export type Container = Partial<PlannedContainer> & {
  readonly name: string
  /** A script for /bin/sh, or an argv. */
  readonly run: string | readonly string[]
  readonly cwd?: string
}

export interface JobInput extends Partial<Pick<Plan, 'restartPolicy' | 'graceSeconds' | 'deadlineSeconds'>> {
  /** May be made from the job's directory. */
  readonly containers: readonly Container[] | ((dir: string) => readonly Container[])
  /** How the path of the job directory begins. @default interlink-job- in the folder for temporary files */
  readonly dirPrefix?: string
  /** Length of a second. @default 100, and longer on a busy machine */
  readonly secondMs?: number
  /** Environment of whoever starts the job. */
  readonly env?: Readonly<Record<string, string>>
}

/** Its exit code, or the signal that ended it. */
export const exitOf = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? signal ?? ''))
  })

/** A job that really runs. */
export interface RunningJob {
  readonly dir: string
  readonly uid: string
  readonly pid: number
  /** Resolves with the exit code of the supervisor; a signal is its name. */
  readonly ended: Promise<number | string>
  state(): Promise<JobState>
  /** The record once it is as wanted. */
  container(name: string, wanted?: (record: ContainerRecord) => boolean): Promise<ContainerRecord>
  log(name: string, attempt?: number): Promise<string>
  /** Starts an ephemeral container beside the others. */
  add(container: Container): Promise<void>
  /** @param end reason and message of the pod */
  stop(graceSeconds: number, ...end: readonly string[]): Promise<void>
}

export async function startJob(t: Test, world: World, input: JobInput): Promise<RunningJob> {
  const dir = await mkdtemp(input.dirPrefix ?? join(tmpdir(), 'interlink-job-'))
  const uid = randomUUID()
  const { plan, launches } = planOf(uid, dir, input)
  await writeJob(plan, launches, dir)
  return runJob(t, world, dir, uid, input)
}

export async function runJob(
  t: Test,
  world: World,
  dir: string,
  uid: string,
  input: Pick<JobInput, 'env' | 'secondMs'> & { readonly args?: readonly string[] } = {}
): Promise<RunningJob> {
  const [shell = 'sh', ...first] = world.sh.split(' ')
  const child = spawn(shell, [...first, join(dir, 'job.sh'), ...(input.args ?? [])], {
    env: {
      HOME: '/',
      ...input.env,
      PATH: world.path,
      INTERLINK_SH: world.sh,
      INTERLINK_SECOND_MS: String(input.secondMs ?? Math.ceil(100 * slowness))
    },
    detached: true,
    stdio: 'ignore'
  })
  const ended = exitOf(child)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await output(shell, [...first, join(dir, 'supervisor.sh'), 'reap', dir], world.path).catch(() => '')
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  })
  const state = () => readJobState(dir)
  return {
    dir,
    uid,
    pid: child.pid ?? 0,
    ended,
    state,
    async container(name, wanted = () => true) {
      let record: ContainerRecord | undefined
      await until(
        async () => {
          record = (await state()).containers.get(name)
          return record !== undefined && wanted(record)
        },
        async () =>
          `${world.name}: ${name}: ${JSON.stringify(record)} ${await readFile(join(dir, 'supervisor.log'), 'utf8').catch(() => '')}`
      )
      return record as ContainerRecord
    },
    log: (name, attempt = 0) => readFile(join(dir, 'log', `${name}.${attempt}`), 'utf8'),
    add: (container) => addContainer(dir, uid, container),
    // Whole or not at all, as a plugin writes it.
    async stop(...words) {
      await writeFile(join(dir, 'stop.tmp'), words.join('\n'))
      await rename(join(dir, 'stop.tmp'), join(dir, 'stop'))
    }
  }
}

async function addContainer(dir: string, uid: string, given: Container): Promise<void> {
  const { plan, launches } = planOf(uid, dir, { containers: [{ ...given, kind: 'ephemeral' }] })
  const [container] = plan.containers
  await writeContainer(plan, container!, launches[given.name]!, dir)
  const additions = join(dir, 'additions')
  const before = await readFile(additions, 'utf8').catch(() => '')
  await writeFile(`${additions}.tmp`, `${before}${given.name}\n`)
  await rename(`${additions}.tmp`, additions)
}

/** The text of a log without its heads, both streams. */
export const text = (log: string): string =>
  log.replace(/^\S+ (stdout|stderr) ([PF]) (.*\n)/gm, (_, __, tag: string, rest: string) =>
    tag === 'P' ? rest.slice(0, -1) : rest
  )

/** A plan as the compiler would make it; each container has the job directory as `JOB` in its environment. */
export function planOf(
  uid: string,
  dir: string,
  { containers, restartPolicy = 'Never', graceSeconds = 30, deadlineSeconds }: JobInput
): { plan: Plan; launches: Record<string, Launch> } {
  const given = typeof containers === 'function' ? containers(dir) : containers
  const planned = given.map(({ run: _run, cwd: _cwd, ...fields }): PlannedContainer => ({
    kind: 'main',
    image: 'host',
    pullPolicy: 'IfNotPresent',
    mounts: [],
    limits: {},
    probes: {},
    stopSignal: 'TERM',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    runAs: {},
    readOnlyRoot: false,
    stdin: false,
    tty: false,
    ...fields,
    env: [{ name: 'JOB', value: dir }, ...(fields.env ?? [])]
  }))
  return {
    plan: {
      version: 1,
      pod: {
        uid,
        name: 'pod',
        namespace: 'space',
        nodeName: 'node',
        hostname: 'a-host',
        labels: {},
        annotations: {}
      },
      restartPolicy,
      graceSeconds,
      ...(deadlineSeconds === undefined ? {} : { deadlineSeconds }),
      containers: planned,
      volumes: [],
      hosts: [],
      resources: { cpuMillis: 0, memoryBytes: 0, ephemeralBytes: 0, extended: {} },
      notices: []
    },
    launches: Object.fromEntries(
      given.map(({ name, run, cwd }) => [
        name,
        { run: typeof run === 'string' ? ['/bin/sh', '-c', run] : run, enter: [], ...(cwd ? { cwd } : {}) }
      ])
    )
  }
}

/** Processes that carry the mark of a job. */
export async function marked(uid: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environ = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
      return environ.includes(`.${uid}`) ? pid : ''
    })
  )
  return found.filter(Boolean)
}

export async function until(
  done: () => boolean | Promise<boolean>,
  what: string | (() => Promise<string>)
): Promise<void> {
  const deadline = Date.now() + 120_000
  while (!(await done())) {
    if (Date.now() > deadline) {
      throw new Error(`not within 120 s: ${typeof what === 'string' ? what : await what()}`)
    }
    await delay(20)
  }
}

export function output(command: string, args: readonly string[], path = PATH): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: path } })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.once('error', reject)
    child.once('close', () => resolve(said))
  })
}
