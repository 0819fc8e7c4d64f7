import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Check } from '../kit/backend.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import { flagText } from './annotations/parse-flags.ts'
import { flavorFlags } from './flavors.ts'
import { mergeFlags } from './merge-flags.ts'
import { checkStreams } from './check-streams.ts'
import type { SlurmOptions } from './options.ts'
import type { Site } from '../kit/sites/site.ts'
import type { SlurmClient } from './slurm-client.ts'
import { isOver } from './states.ts'
import { lookedFile, readReport, testJobScript, type NodeReport } from './test-job.ts'
import type { Transport } from '../kit/transport/transport.ts'

export interface Cluster {
  readonly slurm: SlurmClient
  readonly site: Site
  readonly transport: Transport
  readonly options: SlurmOptions
  readonly callHome: CallHome | undefined
  /** Of the job directories, as the plugin sees it. */
  readonly root: string
}

/** Clocks that are further apart, in seconds, are told of; munge(7) refuses at 300. */
export const maxSkewSeconds = 30
const everyMs = 200
/** Until what a node has written is seen elsewhere, on file systems such as NFS. */
const sharedMs = 10_000

/** Runs a real job and tells what it has found. It is cancelled where it does not start in time. */
export async function checkNode(cluster: Cluster): Promise<Check[]> {
  const { site, root, options } = cluster
  const dir = join(root, `.doctor-${randomUUID()}`)
  const directories = {
    name: 'job directories',
    fix: `give a root (with ssh: options.ssh.directory) that this account can write and every node sees; options.users.directory likewise`
  }
  const probe = randomUUID()
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await writeFile(join(dir, 'probe'), probe, { mode: 0o600 })
    await site.stage(dir)
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    return [{ ...directories, ok: false, detail: (error as Error).message }]
  }
  try {
    const submittedAt = Date.now()
    const ran = await runJob(cluster, dir, probe)
    if ('check' in ran) return [ran.check]
    return [
      ...judge(ran.report, options, await site.seenAs(root), directories),
      ran.streams,
      ...clock(ran.report, submittedAt)
    ]
  } finally {
    await site.release(dir).catch(() => {})
    await rm(dir, { recursive: true, force: true })
  }
}

async function runJob(
  { slurm, site, options, transport, callHome }: Cluster,
  dir: string,
  probe: string
): Promise<{ readonly report: NodeReport; readonly streams: Check } | { readonly check: Check }> {
  const name = 'test job'
  const fix = 'see sinfo and squeue; with options.batch.defaultFlavor the job gets the flags that pods get'
  const patienceMs = options.timeouts.testJobSeconds * 1000
  const there = await site.seenAs(dir)
  let jobId: string | undefined
  try {
    const script = testJobScript(options, there, probe)
    jobId = await slurm.submit(jobArgs(options), 'interlink-doctor', script, join(there, 'submit.lock'))
    const id = jobId
    const waiting = /^(PENDING|CONFIGURING)$/
    let job = await until(
      () => slurm.job(id),
      ({ state }) => !waiting.test(state),
      patienceMs
    )
    if (waiting.test(job.state))
      return {
        check: {
          name,
          ok: false,
          detail: `job ${id} still waits in the queue after ${options.timeouts.testJobSeconds} s (${job.reason}); it is cancelled`,
          fix: 'look again when the cluster is less busy, give more time by options.timeouts.testJobSeconds, or see the reason in squeue(1)'
        }
      }
    const streams = await checkStreams({ slurm, transport, site, callHome }, options.streams, {
      jobId: id,
      dir
    })
    await transport.run(['touch', join(there, lookedFile)], { timeoutMs: patienceMs })
    job = await until(() => slurm.job(id), isOver, patienceMs)
    if (!/^(COMPLETED|FAILED)$/.test(job.state))
      return { check: { name, ok: false, detail: `job ${id} is ${job.state} (${job.reason})`, fix } }
    const said = await until(() => site.read(dir, 'report'), Boolean, job.exit & 1 ? 0 : sharedMs)
    jobId = undefined
    return { report: readReport(said ?? '', said === undefined ? job.exit | 1 : job.exit), streams }
  } catch (error) {
    return { check: { name, ok: false, detail: (error as Error).message, fix } }
  } finally {
    if (jobId !== undefined) await slurm.cancel(jobId).catch(() => {})
  }
}

/** As a pod without annotations would be submitted. */
function jobArgs({ batch }: SlurmOptions): string[] {
  const flavor = batch.flavors.find(({ name }) => name === batch.defaultFlavor)
  const own = { 'job-name': 'interlink-doctor', output: '/dev/null', time: '1', chdir: '/' }
  const flags = Object.entries(own).map(([name, value]) => ({ name, value, written: `--${name}=${value}` }))
  return mergeFlags(flags, flavor ? flavorFlags(flavor) : []).map(flagText)
}

/** The first answer that will do, or the last one when the time is over. */
async function until<T>(
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
  patienceMs: number
): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (holds(answer) || performance.now() > deadline) return answer
    await delay(everyMs)
  }
}

function judge(
  { facts, missing }: NodeReport,
  { containers }: SlurmOptions,
  root: string,
  directories: Pick<Check, 'name' | 'fix'>
): Check[] {
  const shared = !missing.has('directory')
  const { runtime, tool = runtime } = containers
  const node = facts.host ?? 'the compute node'
  const checks: Check[] = [
    {
      ...directories,
      ok: shared,
      detail: shared
        ? `${root}: written by the job on ${node}, read here`
        : `${root}: ${node} does not see what is written here`
    },
    {
      name: 'sessions',
      ok: !missing.has('sessions'),
      detail: missing.has('sessions') ? `${node} has neither setsid nor perl` : 'setsid or perl',
      fix: 'ask the site for util-linux on the compute nodes'
    }
  ]
  if (facts.userns !== undefined)
    checks.push({
      name: 'user namespaces',
      // A runtime that is setuid root does without.
      ok: true,
      detail:
        facts.userns === 'yes' ? `on ${node}` : `${facts.userns}; the runtime needs a setuid installation`
    })
  if (runtime === 'host') return checks
  const lacks = missing.has('runtime')
  const fails = missing.has('container')
  checks.push({
    name: runtime,
    ok: !lacks && !fails,
    detail: lacks
      ? `${tool} does not run on ${node}: ${facts.runtime ?? 'no word why'}`
      : fails
        ? `a container does not start on ${node}: ${facts.container ?? 'no word why'}`
        : `${facts.version ?? runtime}; a container has run on ${node}`,
    fix: lacks
      ? 'name its path in options.containers.tool, or load it in options.batch.preamble (module load apptainer)'
      : 'see its words; user namespaces or a setuid installation are needed, and options.containers.options are given'
  })
  return checks
}

/** The job has run between its submission and now: only what lies outside shows that its clock is another. */
function clock({ facts }: NodeReport, submittedAt: number): Check[] {
  const there = Number(facts.clock)
  if (!there) return []
  const before = submittedAt / 1000 - there - 1
  const after = there - Date.now() / 1000
  return [skewCheck(facts.host ?? 'compute node', Math.max(0, before, after))]
}

export function skewCheck(where: string, seconds: number): Check {
  const ok = seconds <= maxSkewSeconds
  return {
    name: `clock of ${where}`,
    ok,
    detail: ok
      ? `within ${maxSkewSeconds} s of the plugin's`
      : `at least ${Math.round(seconds)} s from the plugin's`,
    fix: 'set the clocks by NTP (chrony, systemd-timesyncd); munge refuses at 5 minutes'
  }
}
