import type { CreateStruct, EphemeralRequest, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { withSpan } from '@interlink-ts/interlink-api/telemetry'
import { PluginError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'
import { join } from 'node:path'
import { BackendWatch, type Unreachable } from './backend-watch.ts'
import { readJson, writeDurable } from './durable-file.ts'
import { addEphemeral } from './ephemeral.ts'
import { planFile, removeJobDirectory, writeDeletion, writeIntent, writeSubmission } from './job-directory.ts'
import {
  countJobs,
  hasStopped,
  isUndecided,
  isUnderWay,
  jobOf,
  newEntry,
  statusOf,
  stopped,
  submittedJob,
  takeState,
  type JobCounts,
  type JobEntry
} from './job-entry.ts'
import { backendFailed, cannotWrite } from './job-failures.ts'
import type { JobKeeperOptions } from './job-keeper-options.ts'
import { readJobState, type JobState } from './job-state.ts'
import { prepareJob } from './prepare-job.ts'
import { recoverJobs } from './recover-jobs.ts'
import { Releases } from './releases.ts'
import { retryPauseMs } from './retry-pause.ts'
import { StateFeed } from './state-feed.ts'
import { StatusBoard } from './status-board.ts'
import { openTombstones, type Tombstones } from './tombstones.ts'
import { writeJobDirectory } from './write-job-directory.ts'

const uidShape = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/
const sweepMs = 2000

/**
 * All jobs of a plugin: their making, their state, their end. UID is the key; what is on disk is the truth, so that
 * a plugin that is killed at any instruction goes on where it was.
 */
export class JobKeeper {
  readonly board = new StatusBoard()
  readonly #options: JobKeeperOptions
  readonly #now: () => number
  readonly #tombstones: Tombstones
  readonly #jobs = new Map<string, JobEntry>()
  /** Directories that could not be read, with the reason. */
  readonly #damaged = new Map<string, string>()
  readonly #creating = new Map<string, Promise<CreateStruct>>()
  readonly #reaping = new Map<string, Promise<void>>()
  readonly #releases: Releases
  readonly #feed: StateFeed
  readonly #sweeper: NodeJS.Timeout
  readonly #watch: BackendWatch
  #closing = false

  private constructor(options: JobKeeperOptions, tombstones: Tombstones) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#tombstones = tombstones
    this.#releases = new Releases(options.backend, options.log)
    this.#feed = new StateFeed({
      read: readJobState,
      now: this.#now,
      onState: (uid, state) => this.#onState(uid, state),
      onError: (uid, err) => options.log.warn({ uid, err }, 'state of a job cannot be read')
    })
    this.#watch = new BackendWatch(options, this.#feed, {
      entries: () => this.#jobs.values(),
      entry: (uid) => this.#jobs.get(uid),
      isKnown: (uid) => this.#isKnown(uid),
      publish: (entry) => this.#publish(entry),
      lose: (entry, at) => this.#lose(entry, at)
    })
    this.#sweeper = setInterval(() => void this.#sweep(), sweepMs)
    this.#sweeper.unref()
  }

  /** Reads the root and goes on with what was begun. */
  static async open(options: JobKeeperOptions): Promise<JobKeeper> {
    const now = options.now ?? Date.now
    const tombstones = await openTombstones(options.root, options.tombstoneSeconds * 1000, now)
    const keeper = new JobKeeper(options, tombstones)
    await keeper.#recover()
    return keeper
  }

  get size(): number {
    return this.#jobs.size
  }

  /** Directories of the root that could not be read, with the reason. */
  get damaged(): ReadonlyMap<string, string> {
    return this.#damaged
  }

  /** Jobs that the backend has taken and that have not ended. */
  running(): JobEntry[] {
    return [...this.#jobs.values()].filter(isUnderWay)
  }

  /** A job whose directory is still there, deleted or not. */
  get(uid: string): JobEntry | undefined {
    return this.#jobs.get(uid)
  }

  /** Since when and why the backend does not answer; epoch ms. */
  get unreachable(): Unreachable | undefined {
    return this.#watch.unreachable
  }

  counts(): JobCounts {
    return countJobs(this.#jobs.values())
  }

  /**
   * Starts a pod once: a UID that is known is answered with its job, whatever its spec says now. Resolves when the
   * job is with the backend and that is on disk.
   */
  create(data: RetrievedPodData): Promise<CreateStruct> {
    const { uid = '' } = data.pod.metadata
    if (!uidShape.test(uid))
      throw new PluginError('PLUGIN_INVALID_POD', {
        field: 'metadata.uid',
        reason: 'expected letters, digits, - and _, at most 128'
      })
    const under = this.#creating.get(uid)
    if (under) return under
    const entry = this.#jobs.get(uid)
    if (entry?.deletion || this.#tombstones.has(uid)) throw new PluginError('PLUGIN_DELETED', { uid })
    if (entry?.jobId !== undefined) return Promise.resolve({ PodUID: uid, PodJID: entry.jobId })
    if (this.#closing) throw new PluginError('PLUGIN_CLOSING')
    return this.#single(uid, entry ? () => this.#resubmit(entry) : () => this.#make(data))
  }

  /** Adds a container to a job that is there, once. */
  async addEphemeral(request: EphemeralRequest): Promise<void> {
    const { uid = '' } = request.pod.metadata
    const entry = this.#jobs.get(uid)
    if (!entry) throw new PluginError('PLUGIN_UNKNOWN_POD', { uid })
    const before = entry.adding?.catch(() => {})
    entry.adding = (before ?? Promise.resolve()).then(() => addEphemeral(entry, request, this.#options))
    await entry.adding
    this.#options.log.info({ uid, container: request.container }, 'container added')
    this.#publish(entry)
  }

  /** Resolves once the wish is durable; the job ends after it. A UID that is unknown stays so. */
  async delete(uid: string, graceSeconds?: number): Promise<void> {
    if (!uidShape.test(uid)) return
    const entry = this.#jobs.get(uid)
    if (!entry) return this.#deleteUnknown(uid)
    const grace = graceSeconds ?? entry.outline.graceSeconds
    const before = entry.deletion
    if (entry.retiredAt !== undefined || (before && before.graceSeconds <= grace)) return
    entry.deletion = { at: before?.at ?? this.#now(), graceSeconds: grace }
    delete entry.unexplainedSince
    await writeDeletion(entry.dir, entry.deletion).catch((error: unknown) => {
      // It has come to its end, and its directory with it, while a second wish was written.
      if (entry.retiredAt !== undefined) return
      if (before) entry.deletion = before
      else delete entry.deletion
      throw cannotWrite(error)
    })
    if (before && entry.jobId !== undefined && !hasStopped(entry)) await this.#cancel(entry, grace)
    this.#reap(entry)
  }

  async #deleteUnknown(uid: string): Promise<void> {
    await this.#tombstones.add(uid)
    for (const dir of this.#damaged.keys())
      if (dir.endsWith(`-${uid}`)) await writeDurable(join(dir, 'stop'), '0\n')
  }

  /** Stops watching. Jobs go on; what was begun is finished by the next plugin. */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#sweeper)
    this.#watch.close()
    this.#feed.close()
    for (const entry of this.#jobs.values()) for (const wake of entry.waiters) wake()
    await Promise.allSettled([...this.#creating.values(), ...this.#reaping.values()])
    await this.#releases.close()
  }

  async #recover(): Promise<void> {
    const { root, log } = this.#options
    const { entries, damaged } = await recoverJobs(root, this.#now)
    for (const [dir, reason] of damaged) {
      this.#damaged.set(dir, reason)
      log.error({ dir, reason }, 'job directory is damaged and left alone')
    }
    for (const entry of entries) {
      this.#jobs.set(entry.uid, entry)
      entry.goneSince = 0
      if (entry.jobId !== undefined) this.#track(entry)
      if (entry.deletion) this.#reap(entry)
      else if (entry.jobId === undefined)
        void this.#single(entry.uid, () => this.#resubmit(entry)).catch((err: unknown) =>
          log.warn({ uid: entry.uid, err }, 'a create that was interrupted could not be finished yet')
        )
    }
    if (entries.length > 0) log.info({ jobs: entries.length }, 'jobs found again')
    await this.#watch.start()
  }

  #single(uid: string, make: () => Promise<CreateStruct>): Promise<CreateStruct> {
    const promise = make().finally(() => this.#creating.delete(uid))
    this.#creating.set(uid, promise)
    return promise
  }

  async #make(data: RetrievedPodData): Promise<CreateStruct> {
    const prepared = await prepareJob(data, this.#options)
    const { plan, dir } = prepared
    const { uid } = plan.pod
    const reason = this.#damaged.get(dir)
    if (reason !== undefined) throw new PluginError('PLUGIN_DAMAGED_JOB', { dir, reason })
    const entry = newEntry(plan, dir, this.#now())
    await writeJobDirectory(this.#options.root, prepared)
    if (this.#tombstones.has(uid)) {
      await removeJobDirectory(this.#options.root, dir)
      throw new PluginError('PLUGIN_DELETED', { uid })
    }
    this.#jobs.set(uid, entry)
    try {
      await writeIntent(dir, { uid, attempt: 0, at: entry.createdAt })
    } catch (error) {
      this.#jobs.delete(uid)
      throw cannotWrite(error)
    }
    return this.#submit(entry, plan)
  }

  /** Goes on with a create that was interrupted after its intent: the backend is asked first. */
  async #resubmit(entry: JobEntry): Promise<CreateStruct> {
    const plan = (await readJson(planFile(entry.dir))) as Plan
    const found = await this.#found(entry, plan)
    if (found) return this.#submitted(entry, found)
    entry.attempt++
    await writeIntent(entry.dir, { uid: entry.uid, attempt: entry.attempt, at: entry.createdAt })
    return this.#submit(entry, plan)
  }

  async #found(entry: JobEntry, plan: Plan): Promise<string | undefined> {
    const { backend } = this.#options
    const found = await backend.find(jobOf(entry, plan)).catch((error: unknown) => {
      throw backendFailed(backend.name, `look for pod ${entry.uid}`, error)
    })
    if (found) return found.jobId
    const { supervisor, finished } = await readJobState(entry.dir)
    return supervisor || finished ? `ended-${supervisor?.pid ?? 0}` : undefined
  }

  async #submit(entry: JobEntry, plan: Plan): Promise<CreateStruct> {
    const { backend, root, log } = this.#options
    const { uid } = entry
    if (entry.deletion) throw new PluginError('PLUGIN_DELETED', { uid })
    try {
      const { jobId } = await withSpan(`submit ${backend.name}`, { 'k8s.pod.uid': uid }, () =>
        backend.submit(jobOf(entry, plan))
      )
      log.info({ uid, jobId, pod: `${plan.pod.namespace}/${plan.pod.name}` }, 'job submitted')
      return await this.#submitted(entry, jobId)
    } catch (error) {
      if (!(error instanceof PluginError) || error.retry !== 'no')
        throw backendFailed(backend.name, `take pod ${uid}`, error)
      this.#jobs.delete(uid)
      await removeJobDirectory(root, entry.dir)
      throw error
    }
  }

  async #submitted(entry: JobEntry, jobId: string): Promise<CreateStruct> {
    await writeSubmission(entry.dir, { uid: entry.uid, jobId, at: this.#now() })
    entry.jobId = jobId
    this.#track(entry)
    this.#watch.hurry()
    return { PodUID: entry.uid, PodJID: jobId }
  }

  #track(entry: JobEntry): void {
    this.#publish(entry)
    this.#feed.follow(entry.uid, entry.dir)
  }

  #onState(uid: string, state: JobState): void {
    const entry = this.#jobs.get(uid)
    if (!entry) return
    takeState(entry, state, this.#now())
    if (entry.unexplainedSince !== undefined) this.#watch.hurry()
    this.#publish(entry)
  }

  #publish(entry: JobEntry): void {
    if (entry.jobId === undefined || entry.retiredAt !== undefined) return
    if (isUndecided(entry)) return
    this.board.set(entry.uid, statusOf(entry))
    if (!hasStopped(entry)) return
    this.#feed.forget(entry.uid)
    this.#releases.start(submittedJob(entry))
    for (const wake of entry.waiters) wake()
  }

  /** Be it that its directory cannot be read. */
  #isKnown(uid: string): boolean {
    return this.#jobs.has(uid) || [...this.#damaged.keys()].some((dir) => dir.endsWith(`-${uid}`))
  }

  /** Whatever the supervisor has left running is ended too; nobody would report it. */
  #lose(entry: JobEntry, at: number): void {
    entry.lostAt = at
    this.#options.log.warn({ uid: entry.uid, jobId: entry.jobId }, 'job is lost')
    void this.#cancel(entry, 0)
  }

  async #cancel(entry: JobEntry, graceSeconds: number): Promise<void> {
    try {
      await this.#options.backend.cancel(submittedJob(entry), graceSeconds)
    } catch (err) {
      this.#options.log.warn({ uid: entry.uid, jobId: entry.jobId, err }, 'cancel failed; tried again')
    }
  }

  #reap(entry: JobEntry): void {
    if (this.#reaping.has(entry.uid) || entry.retiredAt !== undefined) return
    const end = this.#end(entry)
      .catch((err: unknown) => this.#options.log.error({ uid: entry.uid, err }, 'a deletion failed'))
      .finally(() => this.#reaping.delete(entry.uid))
    this.#reaping.set(entry.uid, end)
  }

  /** Cancels until the backend has stopped; then the pod is reported for the last time and is gone. */
  async #end(entry: JobEntry): Promise<void> {
    await this.#creating.get(entry.uid)?.catch(() => {})
    for (let turn = 0; entry.jobId === undefined && !this.#closing; turn++) {
      try {
        const plan = (await readJson(planFile(entry.dir))) as Plan
        const jobId = await this.#found(entry, plan)
        if (jobId === undefined) {
          this.#releases.start(submittedJob(entry))
          return this.#retire(entry)
        }
        await this.#submitted(entry, jobId)
      } catch (err) {
        this.#options.log.warn({ uid: entry.uid, err }, 'a deleted job cannot be looked for; tried again')
        await stopped(entry, retryPauseMs(turn))
      }
    }
    const began = this.#now()
    for (let turn = 0; !hasStopped(entry) && !this.#closing; turn++) {
      const { graceSeconds } = entry.deletion!
      const over = this.#now() - began > (graceSeconds + 10) * 1000
      await this.#cancel(entry, over ? 0 : graceSeconds)
      this.#watch.hurry()
      await stopped(entry, retryPauseMs(turn))
    }
    if (hasStopped(entry)) this.#retire(entry)
  }

  #retire(entry: JobEntry): void {
    entry.retiredAt = this.#now()
    this.#feed.forget(entry.uid)
    this.board.remove(entry.uid, entry.outline.nodeName)
    this.#options.log.info({ uid: entry.uid, jobId: entry.jobId }, 'job is gone')
  }

  async #sweep(): Promise<void> {
    const { deletedSeconds, root, log } = this.#options
    for (const entry of this.#jobs.values()) {
      if (entry.retiredAt === undefined || this.#now() - entry.retiredAt < deletedSeconds * 1000) continue
      // What it holds is known by its directory.
      if (!this.#releases.isDone(entry.uid)) continue
      try {
        await this.#tombstones.add(entry.uid)
        await removeJobDirectory(root, entry.dir)
        this.#jobs.delete(entry.uid)
        this.#releases.forget(entry.uid)
      } catch (err) {
        log.warn({ uid: entry.uid, err }, 'a job directory could not be removed; tried again')
      }
    }
    await this.#tombstones.sweep()
  }
}
