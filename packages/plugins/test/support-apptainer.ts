import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { readJobState, type ContainerRecord } from '../src/kit/jobs/job-state.ts'
import { writeVolumes } from '../src/kit/jobs/volume-writer.ts'
import type { Plan } from '../src/kit/plan/plan.ts'
import { writeJob } from '../src/kit/supervisor/write-job.ts'
import { apptainerFiles } from '../src/kit/containers/apptainer-files.ts'
import { renderLaunches, type LaunchOptions } from '../src/slurm/launch.ts'
import { busyboxRoot } from '../../../test/support/image-root.ts'
import { exitOf, until } from './support-supervisor.ts'

const call = promisify(execFile)
/** Apptainer runs as an ordinary account; root takes this one. */
const account = { uid: 65534, gid: 65534 }
const isRoot = process.getuid!() === 0
export const identity: { readonly uid?: number; readonly gid?: number } = isRoot ? account : {}

const places = [...(process.env.PATH ?? '').split(':'), '/opt/apptainer/bin']

/** The absolute path of an Apptainer that works, or why there is none. */
export async function findApptainer(): Promise<{ tool: string } | { why: string }> {
  for (const place of places) {
    const tool = join(place, 'apptainer')
    const found = await call(tool, ['--version'], { env: {} }).catch(() => undefined)
    if (found) return { tool }
  }
  return { why: 'Apptainer is not installed' }
}

/** A directory of the account that runs jobs. */
export async function accountDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-apptainer-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  if (isRoot) await chown(dir, account.uid, account.gid)
  return dir
}

/** An image as a directory: busybox and what a program expects to find. */
export async function busyboxImage(dir: string): Promise<string> {
  const root = await busyboxRoot(join(dir, 'image'))
  if (isRoot) await call('chown', ['-hR', `${account.uid}:${account.gid}`, root])
  return root
}

export interface ApptainerJob {
  readonly dir: string
  readonly plan: Plan
  readonly ended: Promise<number | string>
  container(name: string, wanted?: (record: ContainerRecord) => boolean): Promise<ContainerRecord>
  log(name: string, attempt?: number): Promise<string>
  stop(graceSeconds: number): Promise<void>
}

/** Runs a plan as a compute node would, with the real supervisor and the real runtime. */
export async function runPlan(
  t: Test,
  home: string,
  given: Plan,
  options: LaunchOptions
): Promise<ApptainerJob> {
  const plan = { ...given, pod: { ...given.pod, uid: randomUUID() } }
  const dir = join(home, `job-${plan.pod.uid}`)
  await mkdir(dir, { mode: 0o700 })
  const rendered = renderLaunches(plan, dir, options)
  if ('refusals' in rendered) throw new Error(JSON.stringify(rendered.refusals))
  await writeVolumes(plan, dir)
  await writeJob(plan, rendered.launches, dir, { inherit: rendered.inherit ?? [] })
  for (const { path, mode, text } of await apptainerFiles(plan, options.images)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), text, { mode })
  }
  if (isRoot) await call('chown', ['-R', `${account.uid}:${account.gid}`, dir])
  const child = spawn('/bin/sh', [join(dir, 'job.sh')], {
    ...identity,
    cwd: '/',
    env: { HOME: home, USER: 'nobody', PATH: '/usr/bin:/bin:/usr/sbin:/sbin', INTERLINK_SECOND_MS: '200' },
    detached: true,
    stdio: 'ignore'
  })
  const ended = exitOf(child)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await call('/bin/sh', [join(dir, 'supervisor.sh'), 'reap', dir]).catch(() => undefined)
    await call('chmod', ['-R', 'u+rwx', dir]).catch(() => undefined)
  })
  return {
    dir,
    plan,
    ended,
    async container(name, wanted = ({ state }) => state === 'terminated') {
      let record: ContainerRecord | undefined
      await until(
        async () => {
          record = (await readJobState(dir)).containers.get(name)
          return record !== undefined && wanted(record)
        },
        async () =>
          `${name}: ${JSON.stringify(record)} ${await readFile(join(dir, 'supervisor.log'), 'utf8').catch(() => '')} ${await readFile(join(dir, 'log', `${name}.0`), 'utf8').catch(() => '')}`
      )
      return record as ContainerRecord
    },
    log: async (name, attempt = 0) =>
      (await readFile(join(dir, 'log', `${name}.${attempt}`), 'utf8')).replace(/^\S+ \S+ [FP] /gm, ''),
    stop: (graceSeconds) => writeFile(join(dir, 'stop'), `${graceSeconds}\n`, { mode: 0o644 })
  }
}

/** Processes of the account that have a word in their command line or environment. */
export async function processesWith(word: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, environ, stat] = await Promise.all(
      ['cmdline', 'environ', 'stat'].map((file) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => ''))
    )
    if (/\) [ZX] /.test(stat!)) continue
    if (`${command}${environ}`.includes(word)) found.push(command!.replaceAll('\0', ' '))
  }
  return found
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false
  )
export { chmod }
