import { writeFile } from 'node:fs/promises'
import type { FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { PluginError } from '../errors.ts'
import type {
  Backend,
  BackendContext,
  BackendState,
  HeldJob,
  Job,
  Streams,
  SubmittedJob
} from '../kit/backend.ts'
import { apptainerFiles } from '../kit/containers/apptainer-files.ts'
import type { ImageOptions } from '../kit/containers/images.ts'
import { beginPull } from '../kit/containers/begin-pull.ts'
import { exists, readJson } from '../kit/jobs/durable-file.ts'
import { planFile } from '../kit/jobs/job-directory.ts'
import { measuredUsage } from '../kit/jobs/measured-usage.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { Newest } from '../kit/newest.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import { sendProgram } from '../kit/sites/sent-files.ts'
import type { Site } from '../kit/sites/site.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import type { HubAccess } from '../kit/streams/hub-access.ts'
import { jobStreams } from '../kit/streams/job-streams.ts'
import type { Transport } from '../kit/transport/transport.ts'
import type { Account } from '../kit/users/open-accounts.ts'
import { readAnnotations } from './annotations.ts'
import { BroughtFiles } from './brought-files.ts'
import { checkCondor } from './check.ts'
import { ClassAdError } from './classad.ts'
import { compareJobIds, fullJobId, isJobId, ofJobs, ofPod, ofRoot, type Whose } from './commands.ts'
import { CondorClient } from './condor-client.ts'
import { textOf } from './description-text.ts'
import { EndedPods } from './ended-pods.ts'
import { EventFiles, type EventFolder } from './event-files.ts'
import { condorAccess } from './htcondor-streams.ts'
import { renderProgram } from './job-program.ts'
import { JobTable } from './job-table.ts'
import { renderLaunches } from './launch.ts'
import { offeredResources } from './offered-resources.ts'
import type { HtcondorOptions } from './options.ts'
import { preflight } from './preflight.ts'
import type { SlotFacts } from './slot-facts.ts'
import { backendState, holdOutcome, isCutOff, jobStatus, type CondorJob } from './states.ts'
import { Submissions } from './submissions.ts'
import { programFile, renderDescription, type Description } from './submit-description.ts'
import { TransferSite } from './transfer-site.ts'

/** Beyond the grace of a pod, before HTCondor ends its job whatever it does; seconds. */
const patience = 5
const factsMs = 60_000
/** Of what the event log tells, the first in so long is looked at. */
const wakeMs = 250

/** The jobs of one account. */
export class HtcondorBackend implements Backend {
  readonly name = 'htcondor'
  readonly streams: Streams
  readonly #options: HtcondorOptions
  readonly #context: BackendContext
  readonly #user: string | undefined
  readonly #transport: Transport
  readonly #condor: CondorClient
  readonly #site: Site
  /** The site, where HTCondor carries the files. */
  readonly #transfer: TransferSite | undefined
  readonly #callHome: CallHome | undefined
  readonly #access: HubAccess | undefined
  readonly #brought: BroughtFiles | undefined
  readonly #isSpooled: boolean
  readonly #images: ImageOptions
  readonly #events: EventFiles | undefined
  readonly #table: JobTable
  readonly #facts: Newest<readonly SlotFacts[]>
  readonly #endedPods: EndedPods
  readonly #submissions: Submissions
  /** When a job was first asked to end, epoch ms. */
  readonly #cancelled = new Map<string, number>()
  #mark: Promise<string> | undefined
  #watcher: FSWatcher | undefined
  #waking: NodeJS.Timeout | undefined

  constructor(
    options: HtcondorOptions,
    context: BackendContext,
    { user, transport, site }: Omit<Account, 'images'>,
    events: EventFolder,
    callHome?: CallHome
  ) {
    this.#options = options
    this.#context = context
    this.#user = user
    this.#transport = transport
    this.#site = site
    this.#callHome = callHome
    this.#condor = new CondorClient(transport, options)
    this.#access = condorAccess({ queue: options, site, transport }, options.streams, callHome)
    if (site instanceof TransferSite) {
      this.#transfer = site
      site.connect(this.#access)
    }
    this.streams = this.#access
      ? jobStreams({
          ...this.#access,
          seenAs: ({ dir }) => site.seenAs(dir),
          shell: options.containers.shell
        })
      : {}
    this.#isSpooled = this.#transfer !== undefined && (options.spool ?? options.schedd !== undefined)
    // That of a spooled job lies with the queue.
    this.#events = options.eventLog && !this.#isSpooled ? new EventFiles(events) : undefined
    this.#images = this.#transfer ? { ...options.images, pull: 'job' } : options.images
    this.#table = new JobTable(
      {
        queue: async () => this.#condor.jobs(ofRoot(await this.#whose())),
        history: async (jobIds, sinceMs) =>
          this.#condor.left(ofJobs(await this.#whose(), jobIds), jobIds.length, sinceMs)
      },
      this.#events,
      { everyMs: options.querySeconds * 1000 }
    )
    this.#submissions = new Submissions({
      condor: this.#condor,
      atOnce: options.submissions,
      isSpooled: this.#isSpooled
    })
    const queue = { condor: this.#condor, whose: () => this.#whose(), log: context.log }
    this.#endedPods = new EndedPods({ ...queue, patienceMs: options.timeouts.endedSeconds * 1000 })
    this.#brought =
      this.#transfer && new BroughtFiles({ ...queue, site: this.#transfer, isSpooled: this.#isSpooled })
    this.#facts = new Newest(
      () => this.#condor.slots(),
      factsMs,
      (err) => context.log.warn({ err }, 'the slots of HTCondor could not be asked for')
    )
  }

  get via(): readonly string[] {
    return this.#access?.via ?? []
  }

  async adopt() {
    if (this.#callHome?.keep) await this.#callHome.listen()
  }

  check() {
    return checkCondor({
      ...{ condor: this.#condor, site: this.#site, transport: this.#transport },
      ...{ options: this.#options, root: this.#context.root, callHome: this.#callHome }
    })
  }

  async preflight() {
    await preflight(this.#condor, this.#transport)
  }

  async honours() {
    const runsImages = this.#options.containers.runtime !== 'host'
    return { pullSecrets: runsImages, readOnlyRoot: runsImages, hostname: runsImages }
  }

  async render(...[plan, dir]: Parameters<Backend['render']>) {
    const seenAs = await this.#site.seenAs(dir)
    const rendered = renderLaunches(plan, seenAs, this.#options)
    const described = this.#describe(plan, this.#transfer ? dir : seenAs, {
      mark: '<mark>',
      user: this.#user
    })
    const refusals = [...('refusals' in rendered ? rendered.refusals : []), ...described.refusals]
    if ('refusals' in rendered || refusals.length > 0) return { refusals }
    return {
      ...rendered,
      notices: [...rendered.notices, ...described.notices],
      seenAs,
      shown: [{ title: 'condor_submit -terse', text: textOf(described.job) }]
    }
  }

  #describe(plan: Plan, dir: string, whose: Whose, log?: string): Description {
    const { submit, containers } = this.#options
    const transfers = this.#transfer !== undefined
    const place = { dir, transfers, ...whose, shell: containers.shell, ...(log === undefined ? {} : { log }) }
    try {
      return renderDescription({ plan }, place, submit)
    } catch (error) {
      if (!(error instanceof ClassAdError)) throw error
      // Of a pod nothing is written but as a string; the path is the site's.
      const refusal: Refusal = { field: 'root', message: error.message }
      return { job: { commands: [], extra: [] }, notices: [], refusals: [refusal] }
    }
  }

  async submit(job: Job) {
    const { containers, submit } = this.#options
    const dir = await this.#site.seenAs(job.dir)
    const transfers = this.#transfer !== undefined
    const program = renderProgram({ plan: job.plan, dir }, { ...submit, shell: containers.shell, transfers })
    const files = [
      ...(await apptainerFiles(job.plan, this.#images)),
      ...(transfers ? [await sendProgram()] : []),
      { path: programFile, mode: 0o600, text: program },
      ...(this.#callHome?.keep ? [await this.#callHome.keptFile(job.uid)] : [])
    ]
    await Promise.all(files.map(({ path, mode, text }) => writeFile(join(job.dir, path), text, { mode })))
    const whose = await this.#whose()
    const { job: described, refusals } = this.#describe(
      job.plan,
      transfers ? job.dir : dir,
      whose,
      await this.#events?.path()
    )
    if (refusals.length > 0)
      throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: this.name, reason: refusals[0]!.message })
    await this.#site.stage(job.dir)
    await this.#pull({ plan: job.plan, dir })
    const queuedAt = Date.now()
    const jobId = await this.#submissions.submit(described, await this.#lockOf(job.dir))
    this.#table.add({ jobId, uid: job.uid, mark: whose.mark, status: jobStatus.idle, starts: 0, queuedAt })
    return { jobId }
  }

  async #pull(job: Pick<Job, 'plan' | 'dir'>) {
    const { submit, containers } = this.#options
    const images = this.#images
    const root = readAnnotations(job.plan).annotations['image-root']?.value
    await beginPull(
      { ...job, root },
      { preamble: submit.preamble, images, containers },
      {
        transport: this.#transport,
        log: this.#context.log,
        timeoutMs: this.#options.timeouts.submitSeconds * 1000
      }
    )
  }

  /** Its image is asked for as those of the job were. */
  async add({ dir }: SubmittedJob, { plan }: Job) {
    for (const { name } of plan.containers) await this.#site.add(dir, name)
    await this.#pull({ plan, dir: await this.#site.seenAs(dir) })
  }

  /** Were there ever two jobs, the first is kept and the others end. */
  async find(job: Job) {
    await this.#site.ensure(job.dir)
    await this.#condor.settled(await this.#lockOf(job.dir))
    const whose = await this.#whose()
    const found = await this.#condor.jobs(ofPod(whose, job.uid))
    // Its files never came: the submission was cut off.
    for (const { jobId } of found.filter(isCutOff))
      await this.#condor.remove(ofJobs(whose, [jobId]), 'its files did not come')
    const queued = found.filter((each) => !isCutOff(each))
    const [first, ...others] = queued.sort((a, b) => compareJobIds(a.jobId, b.jobId))
    for (const { jobId } of others) {
      this.#context.log.warn({ uid: job.uid, jobId, kept: first!.jobId }, 'a second job of a pod is removed')
      await this.#condor.remove(ofJobs(whose, [jobId]), 'a second job of its pod')
    }
    return first ? { jobId: first.jobId } : undefined
  }

  async list(jobs: readonly SubmittedJob[]) {
    const dirs = new Map(jobs.map(({ jobId, dir }) => [fullJobId(jobId), dir]))
    await this.#site.fetch([...dirs.values()])
    await this.#table.look([...dirs.keys()].filter(isJobId), (jobId) => this.#isBegun(dirs.get(jobId)!))
    await this.#endedPods.settle(this.#table.inQueue())
    const states = await Promise.all(jobs.map(async (job) => [job.uid, await this.#stateOf(job)] as const))
    return new Map<string, BackendState>(states)
  }

  async #stateOf(submitted: SubmittedJob): Promise<BackendState> {
    const { uid } = submitted
    const jobId = fullJobId(submitted.jobId)
    const job = this.#table.get(jobId)
    await this.#brought?.look(submitted, job)
    if (!job) return { phase: this.#table.isPending(jobId) ? 'active' : 'gone' }
    if (job.status === jobStatus.held) await this.#settleHold(uid, job)
    return backendState(job, this.#options.holds)
  }

  /** A held job stays in the queue until somebody releases or removes it. */
  async #settleHold(uid: string, job: CondorJob): Promise<void> {
    const outcome = holdOutcome(job, this.#options.holds)
    if (outcome === 'wait') return
    const constraint = `${ofJobs(await this.#whose(), [job.jobId])} && JobStatus == ${jobStatus.held}`
    const done =
      outcome === 'release'
        ? this.#condor.release(constraint)
        : this.#condor.remove(constraint, 'it was held, and its pod has failed')
    await done.catch((err: unknown) =>
      this.#context.log.warn({ uid, jobId: job.jobId, outcome, err }, 'a held job was left as it is')
    )
  }

  onChange(wake: () => void) {
    const changed = () => {
      this.#waking ??= setTimeout(() => {
        this.#waking = undefined
        wake()
      }, wakeMs).unref()
    }
    this.#events?.watch(changed).then(
      (watcher) => (this.#watcher = watcher?.on('error', () => {})),
      (err: unknown) => this.#context.log.warn({ err }, 'the event log is not watched')
    )
  }

  held(): HeldJob[] {
    return this.#table.inQueue().map(({ uid, jobId }) => ({ uid, jobId }))
  }

  async abandon({ jobId }: HeldJob) {
    await this.#condor.remove(ofJobs(await this.#whose(), [jobId]), 'no pod stands behind it')
  }

  /**
   * The supervisor is asked by its file and by TERM, which comes by HTCondor: either may be out of reach. A longer
   * grace than HTCondor was told of is the file's alone.
   */
  async cancel({ uid, dir, jobId }: SubmittedJob, graceSeconds: number) {
    const now = Date.now()
    const since = this.#cancelled.get(uid) ?? now
    this.#cancelled.set(uid, since)
    await this.#site
      .stop(dir, graceSeconds)
      .catch((err: unknown) => this.#context.log.debug({ uid, err }, 'a job could not be told to end'))
    if (!isJobId(jobId)) return
    const isLate = now - since > (graceSeconds + patience) * 1000
    // Of a job that is removed HTCondor brings nothing back.
    const endsItself = this.#transfer !== undefined || graceSeconds > (await graceOf(dir))
    if (!isLate && endsItself && (await this.#isBegun(dir))) return
    await this.#condor.remove(ofPod(await this.#whose(), uid), 'its pod was deleted')
  }

  #isBegun(dir: string): Promise<boolean> {
    return exists(join(dir, 'state', 'supervisor'))
  }

  async release({ uid, dir, jobId }: SubmittedJob) {
    this.#cancelled.delete(uid)
    this.#brought?.forget(jobId)
    this.#endedPods.add(fullJobId(jobId))
    this.#submissions.forget(await this.#lockOf(dir))
    this.#access?.close(uid)
    await this.#site.release(dir)
    // It stays in the queue until its files were had.
    if (this.#isSpooled) await this.#condor.remove(ofPod(await this.#whose(), uid), 'its pod has ended')
  }

  /** The supervisors measure, where the jobs run: HTCondor is not asked. */
  usage(jobs: readonly SubmittedJob[]) {
    return measuredUsage(this.#site, jobs)
  }

  /** As the last look has it: no ping waits for HTCondor. */
  async resources() {
    const facts = this.#facts.get()
    const { taints, submit } = this.#options
    return {
      ...(facts ? offeredResources(facts, submit.resources) : {}),
      ...(taints ? { taints } : {}),
      ...(this.#access ? { streams: this.via.join(', ') } : {})
    }
  }

  async close() {
    clearTimeout(this.#waking)
    this.#watcher?.close()
    this.#access?.close()
    this.#site.close()
    await Promise.all([this.#transport.close(), this.#callHome?.close()])
  }

  /** Held by a submission while it is under way. */
  async #lockOf(dir: string): Promise<string> {
    return join(this.#transfer ? dir : await this.#site.seenAs(dir), 'submit.lock')
  }

  async #whose(): Promise<Whose> {
    this.#mark ??= rootMark(this.#context.root)
    this.#mark.catch(() => (this.#mark = undefined))
    return { mark: await this.#mark, user: this.#user }
  }
}

const graceOf = async (dir: string): Promise<number> =>
  ((await readJson(planFile(dir)).catch(() => undefined)) as Plan | undefined)?.graceSeconds ?? 0
