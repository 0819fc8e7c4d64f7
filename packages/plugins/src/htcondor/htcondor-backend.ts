import { join } from 'node:path'
import type {
  Backend,
  BackendContext,
  BackendState,
  HeldJob,
  Job,
  Streams,
  SubmittedJob
} from '../kit/backend.ts'
import { exists, readJson } from '../kit/jobs/durable-file.ts'
import { planFile } from '../kit/jobs/job-directory.ts'
import { measuredUsage } from '../kit/jobs/measured-usage.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { Newest } from '../kit/newest.ts'
import type { Plan } from '../kit/plan/plan.ts'
import type { Site } from '../kit/sites/site.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import type { HubAccess } from '../kit/streams/hub-access.ts'
import { jobStreams } from '../kit/streams/job-streams.ts'
import type { Transport } from '../kit/transport/transport.ts'
import type { Account } from '../kit/users/open-accounts.ts'
import { BroughtFiles } from './brought-files.ts'
import { checkCondor } from './check.ts'
import { fullJobId, isJobId, ofJobs, ofPod, ofRoot, type Whose } from './commands.ts'
import { CondorClient } from './condor-client.ts'
import { textOf } from './description-text.ts'
import { EndedPods } from './ended-pods.ts'
import { EventFiles, type EventFolder } from './event-files.ts'
import { HandOver } from './hand-over.ts'
import { condorAccess } from './htcondor-streams.ts'
import { JobTable } from './job-table.ts'
import { HeldJobs } from './held-jobs.ts'
import { renderLaunches } from './launch.ts'
import { offeredResources } from './offered-resources.ts'
import type { HtcondorOptions } from './options.ts'
import { preflight } from './preflight.ts'
import type { SlotFacts } from './slot-facts.ts'
import { backendState, jobStatus } from './states.ts'
import { TransferSite } from './transfer-site.ts'

/** Beyond the grace of a pod, before HTCondor ends its job whatever it does; seconds. */
const patience = 5
const factsMs = 60_000

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
  readonly #events: EventFiles | undefined
  readonly #table: JobTable
  readonly #facts: Newest<readonly SlotFacts[]>
  readonly #endedPods: EndedPods
  readonly #heldJobs: HeldJobs
  readonly #handOver: HandOver
  /** When a job was first asked to end, epoch ms. */
  readonly #cancelled = new Map<string, number>()
  #mark: Promise<string> | undefined

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
    this.#table = new JobTable(
      {
        queue: async () => this.#condor.jobs(ofRoot(await this.#whose())),
        history: async (jobIds, sinceMs) =>
          this.#condor.left(ofJobs(await this.#whose(), jobIds), jobIds.length, sinceMs)
      },
      this.#events,
      { everyMs: options.querySeconds * 1000 }
    )
    const queue = { condor: this.#condor, whose: () => this.#whose(), log: context.log }
    this.#handOver = new HandOver({
      ...{ ...queue, options, transport, site, callHome, events: this.#events, table: this.#table },
      ...{ transfers: this.#transfer !== undefined, isSpooled: this.#isSpooled }
    })
    this.#heldJobs = new HeldJobs({ ...queue, policy: options.holds })
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
    const described = this.#handOver.describe(plan, dir, seenAs, { mark: '<mark>', user: this.#user })
    const refusals = [...('refusals' in rendered ? rendered.refusals : []), ...described.refusals]
    if ('refusals' in rendered || refusals.length > 0) return { refusals }
    return {
      ...rendered,
      notices: [...rendered.notices, ...described.notices],
      seenAs,
      shown: [{ title: 'condor_submit -terse', text: textOf(described.job) }]
    }
  }

  submit(job: Job) {
    return this.#handOver.submit(job)
  }

  add(submitted: SubmittedJob, addition: Job) {
    return this.#handOver.add(submitted, addition)
  }

  find(job: Job) {
    return this.#handOver.find(job)
  }

  async list(jobs: readonly SubmittedJob[]) {
    await this.#site.fetch(jobs.map(({ dir }) => dir))
    const jobIds = jobs.map(({ jobId }) => fullJobId(jobId)).filter(isJobId)
    const begun = new Set(jobs.filter((job) => job.begun).map(({ jobId }) => fullJobId(jobId)))
    await this.#table.look(jobIds, (jobId) => begun.has(jobId))
    await this.#endedPods.settle(this.#table.inQueue())
    const states = await Promise.all(jobs.map(async (job) => [job.uid, await this.#stateOf(job)] as const))
    return new Map<string, BackendState>(states)
  }

  async changed(jobOf: (uid: string) => SubmittedJob | undefined) {
    const states = new Map<string, BackendState>()
    for (const { uid } of await this.#table.readEvents()) {
      const job = jobOf(uid)
      if (job) states.set(uid, await this.#stateOf(job))
    }
    return states
  }

  async #stateOf(submitted: SubmittedJob): Promise<BackendState> {
    const { uid } = submitted
    const jobId = fullJobId(submitted.jobId)
    const job = this.#table.get(jobId)
    await this.#brought?.look(submitted, job)
    if (!job) return { phase: this.#table.isPending(jobId) ? 'active' : 'gone' }
    if (job.status === jobStatus.held) await this.#heldJobs.settle(uid, job)
    return backendState(job, this.#options.holds)
  }

  onChange(wake: () => void) {
    this.#events
      ?.watch(wake)
      .catch((err: unknown) => this.#context.log.warn({ err }, 'the event log is not watched'))
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
    await this.#handOver.forget(dir)
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
    this.#events?.close()
    this.#access?.close()
    this.#site.close()
    await Promise.all([this.#transport.close(), this.#callHome?.close()])
  }

  async #whose(): Promise<Whose> {
    this.#mark ??= rootMark(this.#context.root)
    this.#mark.catch(() => (this.#mark = undefined))
    return { mark: await this.#mark, user: this.#user }
  }
}

const graceOf = async (dir: string): Promise<number> =>
  ((await readJson(planFile(dir)).catch(() => undefined)) as Plan | undefined)?.graceSeconds ?? 0
