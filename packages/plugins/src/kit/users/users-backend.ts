import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../../errors.ts'
import type {
  Backend,
  BackendContext,
  BackendState,
  Check,
  HeldJob,
  Job,
  Plan,
  Streams,
  SubmittedJob,
  Usage
} from '../backend.ts'
import { writeDurable } from '../jobs/durable-file.ts'
import { userOf, type UserOptions } from './user-options.ts'

/** In the plugin's directory of a job: whose it is, from before it is submitted. Without it: of the plugin's account. */
const ownerFile = 'user'

/** How often users without jobs are asked, for orphans. */
const orphanMs = 60_000

/** Of one account; `via` are the ways to its jobs that come into question. */
export type OwnBackend = Backend & { readonly via: readonly string[] }

/** One backend for each user whose jobs there are, and one for the plugin's own account. */
export class UsersBackend implements Backend {
  readonly name: string
  readonly streams: Streams
  readonly #options: UserOptions
  readonly #log: BackendContext['log']
  readonly #account: OwnBackend
  readonly #make: (user: string) => OwnBackend
  readonly #backends = new Map<string | undefined, OwnBackend>()
  readonly #owners = new Map<string, string | undefined>()
  /** What was last known of jobs, for while their user cannot be asked. */
  readonly #states = new Map<string, BackendState>()
  /** Those who are being asked for orphans, and when all of them last were, ms of `performance.now()`. */
  readonly #looking = new Set<Backend>()
  #lookedAt = -Infinity

  constructor(
    options: UserOptions,
    log: BackendContext['log'],
    account: OwnBackend,
    make: (user: string) => OwnBackend
  ) {
    this.name = account.name
    this.#options = options
    this.#log = log
    this.#account = account
    this.#backends.set(undefined, account)
    this.#make = make
    this.streams = this.#streamsOf(account.streams ?? {})
  }

  async check() {
    const checks: Check[] = this.#options.unmapped === 'account' ? [...(await this.#account.check())] : []
    for (const user of this.#users())
      for (const check of await this.#as(user).check())
        checks.push({ ...check, name: `${user}: ${check.name}` })
    return checks
  }

  adopt() {
    return this.#account.adopt!()
  }

  preflight() {
    return this.#account.preflight!()
  }

  honours() {
    return this.#account.honours!()
  }

  async render(plan: Plan, dir: string) {
    const whose = userOf(plan, this.#options)
    return 'refusal' in whose ? { refusals: [whose.refusal] } : this.#as(whose.user).render(plan, dir)
  }

  /** The policy of now decides, whatever it was when the submission was first tried. */
  async submit(job: Job) {
    const whose = userOf(job.plan, this.#options)
    if ('refusal' in whose)
      throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: this.name, reason: whose.refusal.message })
    const file = join(job.dir, ownerFile)
    if (whose.user === undefined) await rm(file, { force: true })
    else await writeDurable(file, whose.user)
    this.#owners.set(job.dir, whose.user)
    return this.#as(whose.user).submit(job)
  }

  /** A submission that was begun as a user has left its mark; without one there was none as a user. */
  async find(job: Job) {
    const owner = await this.#ownerOf(job.dir)
    const whose = userOf(job.plan, this.#options)
    if (owner === undefined && ('refusal' in whose || whose.user !== undefined)) return undefined
    return this.#as(owner).find(job)
  }

  /** One question for each user. Where one cannot be asked, the others' jobs go on, and theirs stay as they were. */
  async list(jobs: readonly SubmittedJob[]) {
    const byUser = new Map<string | undefined, SubmittedJob[]>()
    for (const job of jobs) {
      const owner = await this.#ownerOf(job.dir)
      byUser.set(owner, [...(byUser.get(owner) ?? []), job])
    }
    const states = new Map<string, BackendState>()
    const failures: unknown[] = []
    this.#lookForOrphans((user) => !byUser.has(user))
    await Promise.all(
      [...byUser].map(async ([user, own]) => {
        try {
          for (const [uid, state] of await this.#as(user).list(own)) states.set(uid, state)
        } catch (err) {
          failures.push(err)
          this.#log.warn({ user, err }, 'the jobs of a user could not be asked for')
          for (const { uid } of own) states.set(uid, this.#states.get(uid) ?? { phase: 'active' })
        }
      })
    )
    if (failures.length === byUser.size && failures.length > 0) throw failures[0]
    this.#states.clear()
    for (const [uid, state] of states) this.#states.set(uid, state)
    return states
  }

  /** Among those who have no job that is known. Nobody waits for them; whoever holds one is asked every time. */
  #lookForOrphans(isIdle: (user: string | undefined) => boolean): void {
    const due = performance.now() - this.#lookedAt >= orphanMs
    if (due) this.#lookedAt = performance.now()
    for (const user of due ? this.#everyone() : this.#backends.keys()) {
      const backend = this.#as(user)
      if (!isIdle(user) || this.#looking.has(backend) || (!due && backend.held!().length === 0)) continue
      this.#looking.add(backend)
      backend
        .list([])
        .catch((err: unknown) => this.#log.warn({ user, err }, 'a user could not be asked for orphaned jobs'))
        .finally(() => this.#looking.delete(backend))
    }
  }

  /** Of the users’ own files nobody tells but whoever asks. */
  onChange(wake: () => void) {
    this.#account.onChange?.(wake)
  }

  async changed(jobOf: (uid: string) => SubmittedJob | undefined) {
    return this.#account.changed?.(jobOf) ?? new Map<string, BackendState>()
  }

  held() {
    return [...this.#backends.values()].flatMap((backend) => backend.held!())
  }

  async abandon(job: HeldJob) {
    const isOf = (backend: Backend) => backend.held!().some(({ jobId }) => jobId === job.jobId)
    await [...this.#backends.values()].find(isOf)?.abandon!(job)
  }

  async add(job: SubmittedJob, addition: Job) {
    return this.#as(await this.#ownerOf(job.dir)).add!(job, addition)
  }

  async cancel(job: SubmittedJob, graceSeconds: number) {
    return this.#as(await this.#ownerOf(job.dir)).cancel(job, graceSeconds)
  }

  async release(job: SubmittedJob) {
    await this.#as(await this.#ownerOf(job.dir)).release?.(job)
    this.#owners.delete(job.dir)
  }

  /** Each in the name of whose the job is; all have the same options. */
  #streamsOf({ exec, attach, portForward }: Streams): Streams {
    const of = async ({ dir }: SubmittedJob) => this.#as(await this.#ownerOf(dir)).streams!
    return {
      ...(exec && { exec: async (job, options) => (await of(job)).exec!(job, options) }),
      ...(attach && { attach: async (job, options) => (await of(job)).attach!(job, options) }),
      ...(portForward && {
        portForward: async (job, port, signal) => (await of(job)).portForward!(job, port, signal)
      })
    }
  }

  /** Where those of one user cannot be measured, the others' are. */
  async usage(jobs: readonly SubmittedJob[]) {
    const byUser = new Map<string | undefined, SubmittedJob[]>()
    for (const job of jobs) {
      const owner = await this.#ownerOf(job.dir)
      byUser.set(owner, [...(byUser.get(owner) ?? []), job])
    }
    const used = [...byUser].map(([user, own]) =>
      this.#as(user).usage!(own).catch((err: unknown) => {
        this.#log.warn({ user, err }, 'what the jobs of a user use could not be asked for')
        return new Map<string, Usage>()
      })
    )
    return new Map((await Promise.all(used)).flatMap((one) => [...one]))
  }

  /** How sessions reach jobs, of those users who know it by now. */
  async resources() {
    const offered = await this.#account.resources!()
    const known = [...this.#backends.values()].flatMap(({ via }) => (via.length === 1 ? via : []))
    return { ...offered, ...(known.length > 0 ? { streams: [...new Set(known)].join(', ') } : {}) }
  }

  async close() {
    // Theirs may go through the account's.
    for (const backend of [...this.#backends.values()].reverse()) await backend.close?.()
  }

  #users(): Set<string> {
    return new Set(Object.values(this.#options.namespaces).flat())
  }

  #everyone(): (string | undefined)[] {
    return [...this.#users(), ...(this.#options.unmapped === 'account' ? [undefined] : [])]
  }

  #as(user: string | undefined): OwnBackend {
    const backend = this.#backends.get(user) ?? this.#make(user!)
    this.#backends.set(user, backend)
    return backend
  }

  async #ownerOf(dir: string): Promise<string | undefined> {
    if (this.#owners.has(dir)) return this.#owners.get(dir)
    const text = await readFile(join(dir, ownerFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    const owner = text?.trim() || undefined
    this.#owners.set(dir, owner)
    return owner
  }
}
