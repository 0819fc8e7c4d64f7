import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../errors.ts'
import type {
  Backend,
  BackendContext,
  BackendState,
  HeldJob,
  Job,
  Plan,
  Streams,
  SubmittedJob
} from '../kit/backend.ts'
import { readJson } from '../kit/jobs/durable-file.ts'
import { measuredUsage } from '../kit/jobs/measured-usage.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import type { HubAccess } from '../kit/streams/hub-access.ts'
import { jobStreams } from '../kit/streams/job-streams.ts'
import { planFile } from '../kit/jobs/job-directory.ts'
import { apptainerFiles } from '../kit/containers/apptainer-files.ts'
import { beginPull } from '../kit/containers/begin-pull.ts'
import { refuseRoot } from '../kit/plan/security.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { shellQuote } from '../kit/supervisor/quote.ts'
import { readAnnotations } from './annotations/read-annotations.ts'
import { adoptAll } from './adopt.ts'
import { AdoptedJobs } from './adopted-jobs.ts'
import { renderBatch } from './batch-script.ts'
import { checkSlurm } from './check.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import { EndedJobs } from './ended-jobs.ts'
import { scriptFiles } from './job-script.ts'
import { renderLaunches } from './launch.ts'
import { Newest } from '../kit/newest.ts'
import type { SlurmOptions } from './options.ts'
import { offeredResources } from './offered-resources.ts'
import { preflight } from './preflight.ts'
import { SlurmClient } from './slurm-client.ts'
import { slurmAccess } from './slurm-streams.ts'
import { backendState, commentOf, endsByItself, isOver, ownerOf, type SlurmJob } from './states.ts'
import type { Site } from '../kit/sites/site.ts'
import type { Transport } from '../kit/transport/transport.ts'

/** What Slurm's own TERM, wait and KILL comes after, beyond the grace of the pod; seconds. */
const patience = 5
const factsMs = 60_000

/** The jobs of one account. */
export class SlurmBackend implements Backend {
  readonly name = 'slurm'
  readonly streams: Streams
  readonly #options: SlurmOptions
  readonly #context: BackendContext
  readonly #transport: Transport
  readonly #slurm: SlurmClient
  readonly #site: Site
  readonly #callHome: CallHome | undefined
  readonly #access: HubAccess | undefined
  readonly #adopted = new AdoptedJobs()
  /** When a job was first asked to end, epoch ms. */
  readonly #cancelled = new Map<string, number>()
  /** Job directory to the time of the signal before the limit, of jobs that have ended. */
  readonly #signals = new Map<string, Promise<number | undefined>>()
  readonly #facts: Newest<ClusterFacts>
  readonly #ended: EndedJobs
  /** As the last `list` saw it. */
  #held: readonly HeldJob[] = []
  /** Of the root; known once the plugin has begun. */
  #mark: string | undefined

  constructor(
    options: SlurmOptions,
    context: BackendContext,
    transport: Transport,
    site: Site,
    callHome?: CallHome
  ) {
    this.#callHome = callHome
    this.#options = options
    this.#context = context
    this.#transport = transport
    this.#site = site
    this.#slurm = new SlurmClient(transport, options)
    this.#access = slurmAccess({ slurm: this.#slurm, site, transport }, options.streams, callHome)
    this.streams = this.#access
      ? jobStreams({
          ...this.#access,
          seenAs: ({ dir }) => site.seenAs(dir),
          shell: options.containers.shell
        })
      : {}
    this.#facts = new Newest(
      () => this.#slurm.facts(options.partition),
      factsMs,
      (err) => context.log.warn({ err }, 'the nodes of Slurm could not be asked for')
    )
    this.#ended = new EndedJobs(this.#slurm)
  }

  get via(): readonly string[] {
    return this.#access?.via ?? []
  }

  async adopt() {
    const { adopt, ssh } = this.#options
    if (adopt) await adoptAll(adopt, this.#context, ssh?.directory)
    await this.#adopted.load(this.#context.root)
    if (this.#callHome?.keep) await this.#callHome.listen()
  }

  check() {
    return checkSlurm({
      ...{ slurm: this.#slurm, site: this.#site, transport: this.#transport },
      ...{ options: this.#options, root: this.#context.root, callHome: this.#callHome }
    })
  }

  preflight() {
    return preflight(this.#slurm, this.#transport)
  }

  async honours() {
    const { runtime } = this.#options.containers
    const apptainer = runtime === 'apptainer' || runtime === 'singularity'
    return {
      pullSecrets: apptainer,
      readOnlyRoot: runtime !== 'host',
      hostname: apptainer,
      jobScripts: this.#options.batch.jobScripts
    }
  }

  async render(...[plan, dir]: Parameters<Backend['render']>) {
    const seenAs = await this.#site.seenAs(dir)
    const rendered = renderLaunches(plan, seenAs, this.#options)
    const { args, script, refusals, notices } = this.#batch(plan, seenAs)
    if ('refusals' in rendered) return { refusals: [...rendered.refusals, ...refusals] }
    if (refusals.length > 0) return { refusals }
    if (plan.containers.some(({ runAs }) => runAs.nonRoot) && (await this.#slurm.isRoot()))
      return { refusals: refuseRoot(plan) }
    const shown = [{ title: ['sbatch', ...args.map(quoted)].join(' '), text: script }]
    return { ...rendered, notices: [...rendered.notices, ...notices], seenAs, shown }
  }

  #batch(plan: Plan, dir: string) {
    const { batch, containers } = this.#options
    return renderBatch({ plan, dir }, batch, containers.shell, this.#facts.value?.partitions)
  }

  async submit(job: Job) {
    const { script: jobScript } = job.plan
    const files = await (jobScript === undefined
      ? apptainerFiles(job.plan, this.#options.images)
      : scriptFiles(jobScript))
    if (this.#callHome?.keep) files.push(await this.#callHome.keptFile(job.uid))
    await Promise.all(files.map(({ path, mode, text }) => writeFile(join(job.dir, path), text, { mode })))
    const dir = await this.#site.seenAs(job.dir)
    const { args, script } = this.#batch(job.plan, dir)
    await this.#site.stage(job.dir)
    await this.#pull({ plan: job.plan, dir })
    const mark = (this.#mark ??= await rootMark(this.#context.root))
    return { jobId: await this.#slurm.submit(args, commentOf(job.uid, mark), script, lockOf(dir)) }
  }

  async #pull(job: Pick<Job, 'plan' | 'dir'>) {
    const { batch, images, containers } = this.#options
    const root = readAnnotations(job.plan).annotations['image-root']?.value.trim()
    await beginPull(
      { ...job, root },
      { preamble: batch.preamble, images, containers },
      {
        transport: this.#transport,
        log: this.#context.log,
        timeoutMs: this.#options.timeouts.submitSeconds * 1000
      }
    )
  }

  /** Its image is asked for as those of the job were. */
  async add({ dir }: SubmittedJob, { plan }: Job) {
    if (this.#adopted.has(dir))
      throw new PluginError('PLUGIN_BACKEND_REFUSED', {
        backend: this.name,
        reason: 'nothing can join a job that another plugin has started; restart the pod'
      })
    for (const { name } of plan.containers) await this.#site.add(dir, name)
    await this.#pull({ plan, dir: await this.#site.seenAs(dir) })
  }

  /** Were there ever two jobs, the first is kept and the others end. */
  async find(job: Job) {
    await this.#site.ensure(job.dir)
    await this.#slurm.settled(lockOf(await this.#site.seenAs(job.dir)))
    const jobs = (await this.#slurm.jobs())
      .filter((each) => ownerOf(each).uid === job.uid)
      .sort((a, b) => Number(a.jobId) - Number(b.jobId))
    const [first, ...others] = jobs
    for (const { jobId } of others) {
      this.#context.log.warn(
        { uid: job.uid, jobId, kept: first!.jobId },
        'a second job of a pod is cancelled'
      )
      await this.#slurm.cancel(jobId)
    }
    return first ? { jobId: first.jobId } : undefined
  }

  async list(jobs: readonly SubmittedJob[]) {
    this.#mark ??= await rootMark(this.#context.root)
    const queue = await this.#slurm.jobs()
    await this.#adopted.carry(jobs)
    this.#held = this.#heldOf(queue, jobs)
    await this.#site.fetch(jobs.map(({ dir }) => dir))
    const known = new Map(queue.map((job) => [job.jobId, job]))
    const left = (jobId: string) => {
      const job = known.get(jobId)
      return job === undefined || job.state === 'CANCELLED'
    }
    await this.#ended.look(jobs.map(({ jobId }) => jobId).filter(left))
    const states = new Map<string, BackendState>()
    for (const job of jobs) states.set(job.uid, await this.#stateOf(job, known.get(job.jobId)))
    return states
  }

  async #stateOf({ jobId, dir }: SubmittedJob, queued: SlurmJob | undefined): Promise<BackendState> {
    const job = this.#ended.get(jobId) ?? queued
    if (job === undefined) return { phase: 'gone' }
    // By whom is worth a moment.
    if (job.state === 'CANCELLED' && job.cancelledBy === undefined && this.#ended.isPending(jobId))
      return { phase: 'active' }
    if (!isOver(job)) return backendState(job)
    const { cancelledBy: uid } = job
    const cancelledBy = uid === undefined ? undefined : await this.#slurm.userName(uid)
    const signalSeconds = endsByItself(job) ? await this.#signalSeconds(dir) : undefined
    return backendState(job, {
      ...(cancelledBy === undefined ? {} : { cancelledBy }),
      ...(signalSeconds === undefined ? {} : { signalSeconds })
    })
  }

  #signalSeconds(dir: string): Promise<number | undefined> {
    const known = this.#signals.get(dir) ?? this.#readSignal(dir)
    this.#signals.set(dir, known)
    return known
  }

  async #readSignal(dir: string): Promise<number | undefined> {
    const plan = (await readJson(planFile(dir)).catch(() => undefined)) as Plan | undefined
    const args = plan ? this.#batch(plan, dir).args : []
    const seconds = /^--signal=.*@(\d+)$/.exec(args.find((arg) => arg.startsWith('--signal=')) ?? '')?.[1]
    return seconds === undefined ? undefined : Number(seconds)
  }

  held() {
    return this.#held
  }

  /** In the words of the caller where it knows them: a part of what squeue has printed keeps the whole of it. */
  #heldOf(queue: readonly SlurmJob[], jobs: readonly SubmittedJob[]): HeldJob[] {
    const asked = new Map(jobs.map((job) => [job.jobId, job]))
    return queue.flatMap((job) => {
      const { uid, mark } = ownerOf(job)
      if (mark !== this.#mark || isOver(job)) return []
      const own = asked.get(job.jobId)
      return [own?.uid === uid ? own : { uid, jobId: job.jobId }]
    })
  }

  abandon({ jobId }: HeldJob) {
    return this.#slurm.cancel(jobId)
  }

  /** The supervisor is asked twice, by its file and by signal: either may be out of reach. */
  async cancel(job: SubmittedJob, graceSeconds: number) {
    // The script of the reference knows Slurm's own way only.
    if (this.#adopted.has(job.dir)) return this.#slurm.cancel(job.jobId)
    const now = Date.now()
    const since = this.#cancelled.get(job.uid) ?? now
    this.#cancelled.set(job.uid, since)
    await this.#site.stop(job.dir, graceSeconds)
    if (!/^\d+$/.test(job.jobId)) return
    if (now - since > (graceSeconds + patience) * 1000) await this.#slurm.cancel(job.jobId)
    else await this.#slurm.terminate(job.jobId)
  }

  async release({ uid, dir }: SubmittedJob) {
    this.#cancelled.delete(uid)
    this.#signals.delete(dir)
    this.#access?.close(uid)
    await this.#adopted.release(dir)
    await this.#site.release(dir)
  }

  /** The supervisors measure, where the jobs run: Slurm is not asked. */
  usage(jobs: readonly SubmittedJob[]) {
    return measuredUsage(this.#site, jobs)
  }

  /** As the last look has it: no ping waits for Slurm. */
  async resources() {
    const facts = this.#facts.get()
    const { taints } = this.#options
    return {
      ...(facts ? offeredResources(facts, this.#options) : {}),
      ...(taints ? { taints } : {}),
      ...(this.#access ? { streams: this.via.join(', ') } : {})
    }
  }

  close() {
    this.#access?.close()
    this.#site.close()
    return Promise.all([this.#transport.close(), this.#callHome?.close()]).then(() => {})
  }
}

/** For people to read. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word))

/** Held by a submission while it is under way. */
const lockOf = (dir: string): string => join(dir, 'submit.lock')
