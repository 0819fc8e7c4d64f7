/** The job by which `interlink doctor` finds out how files come to the machines of a pool, and what is there. */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check } from '../kit/backend.ts'
import { checkReach, reachArgv, reachedBy } from '../kit/checks/check-reach.ts'
import { checkClock, judgeTrial } from '../kit/checks/judge-trial.ts'
import { lookedFile, readReport, trialScript, type NodeReport } from '../kit/checks/trial.ts'
import { untilSeen } from '../kit/checks/until-seen.ts'
import type { Site } from '../kit/sites/site.ts'
import { errandBy, type CallHome } from '../kit/streams/call-home.ts'
import type { Transport } from '../kit/transport/transport.ts'
import { classadString } from './classad.ts'
import { ofJob } from './commands.ts'
import type { CondorClient } from './condor-client.ts'
import { openOn, waysOf } from './htcondor-streams.ts'
import type { HtcondorOptions } from './options.ts'
import { isCutOff, jobStatus, type CondorJob } from './states.ts'
import { describeTrial, isShared, trialOf, type Files } from './trial-job.ts'

export interface Pool {
  readonly condor: CondorClient
  readonly site: Site
  readonly transport: Transport
  readonly options: HtcondorOptions
  readonly callHome: CallHome | undefined
  /** Of the job directories, as the plugin sees it. */
  readonly root: string
}

/** Until what a machine has written is seen elsewhere, on file systems such as NFS; and until the history has a job. */
const sharedMs = 10_000

type Tried =
  | { readonly report: NodeReport; readonly streams: Check; readonly submittedAt: number }
  | { readonly why: string }

/** Runs a real job, and a second one with the other way of files where the first has not run. */
export async function checkJob(pool: Pool): Promise<Check[]> {
  const { options, site, root } = pool
  const chosen = options.files
  const first = await tryJob(pool, chosen)
  const seenAs = await site.seenAs(root)
  const ran = !('why' in first) && !first.report.missing.has('directory')
  if (ran) {
    const files = {
      name: 'files',
      ok: true,
      detail: runsBy(chosen, first.report, seenAs, await ownDomain(pool))
    }
    const judged = judgeTrial(first.report, {
      ...{ containers: options.containers, preamble: 'options.submit.preamble', root: seenAs },
      directories: { name: 'job directories' }
    })
    return [
      files,
      ...judged.filter(({ name }) => name !== 'job directories'),
      first.streams,
      ...checkClock(first.report, first.submittedAt)
    ]
  }
  const why =
    'why' in first ? first.why : `${first.report.facts.host ?? 'the machine'} does not see ${seenAs}`
  const other = chosen === 'shared' ? 'transfer' : 'shared'
  // Through SSH nothing but a directory that is shared there comes into question.
  const second = options.ssh ? undefined : await tryJob(pool, other)
  const does = second !== undefined && !('why' in second) && !second.report.missing.has('directory')
  return [
    {
      name: 'files',
      ok: false,
      detail: `files: ${chosen}: ${why}`,
      fix: does
        ? `set options.files: ${other}; a job with it has run on ${second.report.facts.host}`
        : [
            `see condor_q -better-analyze and condor_status`,
            ...(second && 'why' in second
              ? [`with files: ${other} a job did not run either (${second.why})`]
              : []),
            'give more time by options.timeouts.testJobSeconds where the pool is busy'
          ].join('; ')
    }
  ]
}

/** What the chosen way is good for, and whether the better one would do. */
function runsBy(chosen: Files, { facts }: NodeReport, root: string, domain: string | undefined): string {
  const { host = 'the machine', machineDomain } = facts
  if (chosen === 'shared') return `shared: ${root} is written by a job on ${host}, and read here at once`
  if (isShared(facts, domain))
    return `transfer: a job has run on ${host}. It sees ${root} too: with options.files: shared, state and logs are here at once`
  const domains =
    machineDomain === domain
      ? ''
      : ` (FILESYSTEM_DOMAIN: ${machineDomain} there, ${domain ?? 'unknown'} here)`
  return `transfer: a job has run on ${host}, which does not share ${root}${domains}`
}

const ownDomain = ({ condor }: Pool): Promise<string | undefined> =>
  condor.configured('FILESYSTEM_DOMAIN').catch(() => undefined)

async function tryJob(pool: Pool, files: Files): Promise<Tried> {
  const { site, root, options } = pool
  const dir = join(root, `.doctor-${randomUUID()}`)
  const probe = randomUUID()
  const shares = files === 'shared'
  try {
    if (shares) await needSharers(pool)
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const there = shares && options.files === 'shared' ? await site.seenAs(dir) : dir
    const script = trialScript(trialOf(options, join(dir, 'probe')), shares ? there : '.', probe)
    await writeFile(join(dir, 'probe'), probe, { mode: 0o600 })
    await writeFile(join(dir, 'trial.sh'), script, { mode: 0o600 })
    if (options.files === 'shared') await site.stage(dir)
    return await runTrial(pool, { dir, there, files })
  } catch (error) {
    return { why: (error as Error).message }
  } finally {
    if (options.files === 'shared') await site.release(dir).catch(() => {})
    await rm(dir, { recursive: true, force: true })
  }
}

/** No machine of another domain takes a job whose files are not transferred: it would wait in vain. */
async function needSharers(pool: Pool): Promise<void> {
  const domain = await ownDomain(pool)
  if (domain === undefined) return
  const sharers = await pool.condor.slots(`FileSystemDomain == ${classadString(domain)}`)
  if (sharers.length === 0)
    throw new Error(`no machine shares the file systems of who submits (FILESYSTEM_DOMAIN ${domain})`)
}

interface Placed {
  readonly dir: string
  /** The same, as condor_submit sees it. */
  readonly there: string
  readonly files: Files
}

async function runTrial(pool: Pool, placed: Placed): Promise<Tried> {
  const { condor, options, site } = pool
  const { dir, there, files } = placed
  const patienceMs = options.timeouts.testJobSeconds * 1000
  const spools = files === 'transfer' && (options.spool ?? options.schedd !== undefined)
  const submittedAt = Date.now()
  const [jobId = ''] = await condor.submit(
    describeTrial(options, there, files),
    [join(there, 'submit.lock')],
    spools
  )
  const ofThis = ofJob(jobId)
  const queued = async (): Promise<CondorJob | undefined> => (await condor.jobs(ofThis))[0]
  try {
    const isWaiting = (job: CondorJob | undefined) =>
      job?.status === jobStatus.idle || job?.isTransferring || (job !== undefined && isCutOff(job))
    const begun = await untilSeen(queued, (job) => !isWaiting(job), patienceMs)
    if (isWaiting(begun))
      return {
        why: `job ${jobId} still waits after ${options.timeouts.testJobSeconds} s${begun?.rejectReason ? ` (${begun.rejectReason})` : ''}; it is removed`
      }
    const streams = await checkStreams(pool, placed, jobId)
    if (files === 'shared')
      await pool.transport.run(['touch', join(there, lookedFile)], { timeoutMs: patienceMs })
    const isOver = (job: CondorJob | undefined) => !job || job.hasLeft || job.status === jobStatus.held
    const last = await untilSeen(queued, isOver, patienceMs)
    if (!isOver(last)) return { why: `job ${jobId} does not end; it is removed` }
    if (last?.status === jobStatus.held)
      return { why: `job ${jobId} is held (${last.holdCode}.${last.holdSubcode ?? 0}): ${last.holdReason}` }
    if (spools) await condor.retrieve(ofThis)
    const read = () =>
      files === 'shared'
        ? site.read(dir, 'report')
        : readFile(join(dir, 'report'), 'utf8').catch(() => undefined)
    const said = await untilSeen(read, Boolean, sharedMs)
    // Without it the directory is none that the job has written to.
    return {
      report: readReport(said ?? '', said === undefined ? 1 : Number(/^code=(\d+)$/m.exec(said)?.[1] ?? 0)),
      streams,
      submittedAt
    }
  } finally {
    await condor.remove(ofThis, 'the test job of interlink doctor').catch(() => {})
    // What HTCondor is about to let go of, it would keep if it went away itself.
    await untilSeen(queued, (job) => !job, sharedMs).catch(() => {})
  }
}

const fix =
  'let condor_ssh_to_job in (ENABLE_SSH_TO_JOB, an sshd on the machines, a login shell for the account of the jobs), or let the jobs call the plugin (options.streams.callHome), with perl on the machines; options.streams.via: [] does without exec. With files: transfer, a job that nothing reaches tells its state and log at its end alone'

function checkStreams(
  { options, callHome, site, transport }: Pool,
  { dir, there, files }: Placed,
  jobId: string
): Promise<Check> {
  const { startSeconds } = options.streams
  const looked =
    files === 'shared' ? `q(${join(there, lookedFile)})` : `"$ENV{_CONDOR_SCRATCH_DIR}/${lookedFile}"`
  const ways = waysOf(options.streams).map((name) => ({
    name,
    async tried() {
      if (name === 'ssh-to-job') {
        const argv = reachArgv(`open my $looked, '>', ${looked};`)
        return reachedBy(await openOn({ queue: options, transport }, { jobId }, argv), startSeconds)
      }
      if (files === 'transfer') return 'not tried: the job calls as soon as a pod runs'
      await callHome!.check({ jobId, dir, uid: 'interlink-doctor' }, errandBy(site), startSeconds * 1000)
      return undefined
    }
  }))
  return checkReach(ways, fix)
}
