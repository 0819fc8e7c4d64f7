import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../errors.ts'
import type { BackendContext, Job, SubmittedJob } from '../kit/backend.ts'
import { apptainerFiles } from '../kit/containers/apptainer-files.ts'
import { beginPull } from '../kit/containers/begin-pull.ts'
import type { ImageOptions } from '../kit/containers/images.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import { sendProgram } from '../kit/sites/sent-files.ts'
import type { Site } from '../kit/sites/site.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import type { Transport } from '../kit/transport/transport.ts'
import { readAnnotations } from './annotations.ts'
import { ClassAdError } from './classad.ts'
import { compareJobIds, ofJobs, ofPod, type Whose } from './commands.ts'
import type { CondorClient } from './condor-client.ts'
import type { EventFiles } from './event-files.ts'
import { renderProgram } from './job-program.ts'
import type { JobTable } from './job-table.ts'
import type { HtcondorOptions } from './options.ts'
import { isCutOff, jobStatus } from './states.ts'
import { Submissions } from './submissions.ts'
import { programFile, renderDescription, type Description } from './submit-description.ts'

export interface HandOverParts {
  readonly options: HtcondorOptions
  readonly condor: CondorClient
  readonly transport: Transport
  readonly site: Site
  readonly callHome: CallHome | undefined
  readonly events: EventFiles | undefined
  readonly table: JobTable
  /** HTCondor carries the files. */
  readonly transfers: boolean
  /** And first of all to its queue. */
  readonly isSpooled: boolean
  whose(): Promise<Whose>
  readonly log: BackendContext['log']
}

/** The way of a pod into the queue, once. */
export class HandOver {
  readonly #parts: HandOverParts
  readonly #images: ImageOptions
  readonly #submissions: Submissions

  constructor(parts: HandOverParts) {
    const { options, condor, transfers, isSpooled } = parts
    this.#parts = parts
    this.#images = transfers ? { ...options.images, pull: 'job' } : options.images
    this.#submissions = new Submissions({ condor, atOnce: options.submissions, isSpooled })
  }

  /** `seenAs`: the job directory as condor_submit and the machines see it. */
  describe(plan: Plan, own: string, seenAs: string, whose: Whose, log?: string): Description {
    const { options, transfers } = this.#parts
    const { submit, containers } = options
    const dir = transfers ? own : seenAs
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
    const { options, transfers, site, callHome, events, table } = this.#parts
    const { containers, submit } = options
    const dir = await site.seenAs(job.dir)
    const program = renderProgram({ plan: job.plan, dir }, { ...submit, shell: containers.shell, transfers })
    const files = [
      ...(await apptainerFiles(job.plan, this.#images)),
      ...(transfers ? [await sendProgram()] : []),
      { path: programFile, mode: 0o600, text: program },
      ...(callHome?.keep ? [await callHome.keptFile(job.uid)] : [])
    ]
    await Promise.all(files.map(({ path, mode, text }) => writeFile(join(job.dir, path), text, { mode })))
    const whose = await this.#parts.whose()
    const log = await events?.path()
    const { job: described, refusals } = this.describe(job.plan, job.dir, dir, whose, log)
    if (refusals.length > 0)
      throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'htcondor', reason: refusals[0]!.message })
    await site.stage(job.dir)
    await this.#pull({ plan: job.plan, dir })
    const jobId = await this.#submissions.submit(described, await this.#lockOf(job.dir))
    // A question that was asked before this moment may not know of it.
    const added = { starts: 0, queuedAt: Date.now() }
    table.add({ jobId, uid: job.uid, mark: whose.mark, status: jobStatus.idle, ...added })
    return { jobId }
  }

  async #pull(job: Pick<Job, 'plan' | 'dir'>) {
    const { options, transport, log } = this.#parts
    const { submit, containers } = options
    const root = readAnnotations(job.plan).annotations['image-root']?.value
    await beginPull(
      { ...job, root },
      { preamble: submit.preamble, images: this.#images, containers },
      { transport, log, timeoutMs: options.timeouts.submitSeconds * 1000 }
    )
  }

  /** Its image is asked for as those of the job were. */
  async add({ dir }: SubmittedJob, { plan }: Job) {
    const { site } = this.#parts
    for (const { name } of plan.containers) await site.add(dir, name)
    await this.#pull({ plan, dir: await site.seenAs(dir) })
  }

  /** Were there ever two jobs, the first is kept and the others end. */
  async find(job: Job) {
    const { site, condor, log } = this.#parts
    await site.ensure(job.dir)
    await condor.settled(await this.#lockOf(job.dir))
    const whose = await this.#parts.whose()
    const found = await condor.jobs(ofPod(whose, job.uid))
    // Its files never came: the submission was cut off.
    for (const { jobId } of found.filter(isCutOff))
      await condor.remove(ofJobs(whose, [jobId]), 'its files did not come')
    const queued = found.filter((each) => !isCutOff(each))
    const [first, ...others] = queued.sort((a, b) => compareJobIds(a.jobId, b.jobId))
    for (const { jobId } of others) {
      log.warn({ uid: job.uid, jobId, kept: first!.jobId }, 'a second job of a pod is removed')
      await condor.remove(ofJobs(whose, [jobId]), 'a second job of its pod')
    }
    return first ? { jobId: first.jobId } : undefined
  }

  /** Of a job that has ended. */
  async forget(dir: string): Promise<void> {
    this.#submissions.forget(await this.#lockOf(dir))
  }

  /** Held by a submission while it is under way. */
  async #lockOf(dir: string): Promise<string> {
    const { transfers, site } = this.#parts
    return join(transfers ? dir : await site.seenAs(dir), 'submit.lock')
  }
}
