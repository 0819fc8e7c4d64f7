import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../errors.ts'
import type { Backend, BackendContext, BackendState, Job, Plan, SubmittedJob } from '../kit/backend.ts'
import { exists, readJson } from '../kit/jobs/durable-file.ts'
import { planFile, writeSubmission } from '../kit/jobs/job-directory.ts'
import { readJobState } from '../kit/jobs/job-state.ts'
import { StateFeed } from '../kit/jobs/state-feed.ts'
import type { PlannedContainer } from '../kit/plan/plan.ts'
import { instanceName } from './instance.ts'
import { renderLaunches } from './launches.ts'
import type { IncusOptions } from './options.ts'
import { publishAddress, publishBeat, publishEnd, publishPart, readParts, writePart } from './part-files.ts'
import { nextStep } from './split-order.ts'
import { partDirectory, partKey, partPlan, podOf } from './split-plan.ts'

/** Until a part that could not be started is tried again. */
const retryMs = 10_000
/** Until a part that was asked to end is asked once more. */
const askMs = 3000

interface Pod {
  readonly uid: string
  readonly dir: string
  readonly plan: Plan
  /** By when it is to have ended, epoch ms. Absent: nobody wants it to. */
  until?: number
  /** Containers whose instance was made, and which have not ended. */
  readonly running: Set<string>
  /** When each part was last asked to end, epoch ms. */
  readonly asked: Map<string, number>
  /** Why a part has not been started yet, and when that is tried again. */
  trouble?: { readonly message: string; readonly retryAt: number }
  leading?: Promise<void> | undefined
  again: boolean
  released: boolean
}

/**
 * Leads the pods whose containers have an instance each: starts and stops the parts in their order, and has in the job
 * directory of the pod what their supervisors say. All that is known is in these directories; whoever comes next goes on.
 */
export class SplitPods {
  readonly #backend: Backend
  readonly #options: Pick<IncusOptions, 'remotes'>
  readonly #log: BackendContext['log']
  readonly #pods = new Map<string, Pod>()
  readonly #feed: StateFeed

  /** @param backend to which a part is a pod of its own */
  constructor(backend: Backend, options: Pick<IncusOptions, 'remotes'>, log: BackendContext['log']) {
    this.#backend = backend
    this.#options = options
    this.#log = log
    this.#feed = new StateFeed({
      read: readJobState,
      now: Date.now,
      onState: (key) => this.#kick(podOf(key)),
      onError: (key, err) => log.warn({ key, err }, 'state of a container cannot be read')
    })
  }

  /**
   * Resolves when the first containers have been started.
   * @throws as the backend does; the caller then removes what is there
   */
  async start(job: Job): Promise<void> {
    const pod = this.#keep({ ...job, plan: job.plan })
    pod.leading = this.#step(pod, true)
    try {
      await pod.leading
    } finally {
      pod.leading = undefined
    }
    for (const part of await this.parts(job)) this.#feed.follow(part.uid, part.dir)
    this.#kick(job.uid)
  }

  /** Whether any of it is there, in whole parts; what is none is removed. */
  async isThere(job: Job): Promise<boolean> {
    const { uid, dir, plan } = job
    const { supervisor, finished } = await readJobState(dir)
    if (supervisor || finished) return true
    for (const container of plan.containers) {
      const part = this.partOf(job, container.name)
      const records = (await readParts({ ...plan, containers: [container] }, dir))[0]!
      if (records.submittedAt !== undefined) return true
      if (!(await exists(planFile(part.dir)))) continue
      if (await this.#backend.find({ ...job, ...part, plan: partPlan(plan, container) })) return true
      this.#log.debug({ uid, container: container.name }, 'a container was not started')
    }
    return false
  }

  /** The part of a container, as a job of its own. */
  partOf({ uid, dir }: Pick<SubmittedJob, 'uid' | 'dir'>, container: string): SubmittedJob {
    const key = partKey(uid, container)
    return { uid: key, jobId: instanceName(key), dir: partDirectory(dir, container) }
  }

  /** The parts that Incus has been given and that have not ended, as jobs of their own, main containers first. */
  async parts(job: Pick<SubmittedJob, 'uid' | 'dir'>): Promise<SubmittedJob[]> {
    const pod = await this.#podOf(job)
    const { containers } = pod.plan
    return ['main', 'sidecar', 'init'].flatMap((kind) =>
      containers
        .filter((each) => each.kind === kind && pod.running.has(each.name))
        .map((each) => this.partOf(pod, each.name))
    )
  }

  /** @param states of its parts, by their keys */
  async stateOf(
    job: Pick<SubmittedJob, 'uid' | 'dir'>,
    states: ReadonlyMap<string, BackendState>
  ): Promise<BackendState> {
    const pod = await this.#podOf(job)
    const said = (await this.parts(job)).flatMap((part) => {
      const state = states.get(part.uid)
      return state ? [{ ...part, state }] : []
    })
    const gone = await Promise.all(
      said.map(async ({ dir, state }) => state.phase === 'gone' && !(await readJobState(dir)).finished)
    )
    const { finished, supervisor } = await readJobState(pod.dir)
    this.#kick(pod.uid)
    if (finished || gone.includes(true)) return { phase: 'gone' }
    const notices = pod.trouble ? [{ reason: 'ContainerNotStarted', message: pod.trouble.message }] : []
    const waits = !supervisor && said.every(({ state }) => state.phase === 'queued')
    return {
      phase: waits ? 'queued' : 'active',
      ...(notices.length > 0 ? { notices } : {})
    }
  }

  async end(job: Pick<SubmittedJob, 'uid' | 'dir'>, graceSeconds: number): Promise<void> {
    const pod = await this.#podOf(job)
    const until = Date.now() + graceSeconds * 1000
    if (pod.until === undefined || until < pod.until) {
      pod.until = until
      pod.asked.clear()
    }
    this.#kick(pod.uid)
  }

  /** Ends and removes all parts that there may be. @throws where its plan cannot be read */
  async remove(job: Pick<SubmittedJob, 'uid' | 'dir'>): Promise<void> {
    const pod = await this.#podOf(job)
    pod.released = true
    await pod.leading?.catch(() => {})
    for (const part of await readParts(pod.plan, pod.dir)) {
      const { name } = part.container
      const own = this.partOf(pod, name)
      if (part.submittedAt !== undefined && !part.state.finished)
        await this.#backend
          .cancel(own, 0)
          .catch((err: unknown) => this.#log.debug({ ...own, err }, 'not asked'))
      this.#feed.forget(partKey(pod.uid, name))
      await this.#backend.release?.(own)
    }
    this.#pods.delete(pod.uid)
  }

  async close(): Promise<void> {
    this.#feed.close()
    for (const pod of this.#pods.values()) pod.released = true
    await Promise.allSettled([...this.#pods.values()].map(({ leading }) => leading))
  }

  #keep({ uid, dir, plan }: Pick<Pod, 'uid' | 'dir' | 'plan'>): Pod {
    const pod: Pod = {
      uid,
      dir,
      plan,
      running: new Set(),
      asked: new Map(),
      again: false,
      released: false
    }
    this.#pods.set(uid, pod)
    return pod
  }

  async #podOf({ uid, dir }: Pick<SubmittedJob, 'uid' | 'dir'>): Promise<Pod> {
    const known = this.#pods.get(uid)
    if (known) return known
    const plan = (await readJson(planFile(dir))) as Plan | undefined
    if (!plan) throw new Error(`${planFile(dir)} is missing`)
    const wish = await readFile(join(dir, 'stop'), 'utf8').catch(() => undefined)
    const parts = await readParts(plan, dir)
    const again = this.#pods.get(uid)
    if (again) return again
    const pod = this.#keep({ uid, dir, plan })
    if (wish !== undefined) pod.until = Date.now() + (Number.parseInt(wish, 10) || 0) * 1000
    for (const { container, submittedAt, state, dir } of parts) {
      if (submittedAt === undefined || state.finished) continue
      pod.running.add(container.name)
      this.#feed.follow(partKey(uid, container.name), dir)
    }
    return pod
  }

  #kick(uid: string): void {
    const pod = this.#pods.get(uid)
    if (!pod || pod.released) return
    if (pod.leading) pod.again = true
    else pod.leading = this.#lead(pod)
  }

  async #lead(pod: Pod): Promise<void> {
    do {
      pod.again = false
      await this.#step(pod, false).catch((err: unknown) =>
        this.#log.warn({ uid: pod.uid, err }, 'the containers of a pod could not be led; tried again')
      )
    } while (pod.again && !pod.released)
    pod.leading = undefined
  }

  /** @param first whether what fails is the caller's */
  async #step(pod: Pod, first: boolean): Promise<void> {
    const { dir, plan } = pod
    if (pod.released || (await exists(join(dir, 'state/pod')))) return
    const parts = await readParts(plan, dir)
    const begun = parts.filter(({ submittedAt }) => submittedAt !== undefined)
    for (const part of begun) {
      await publishPart(dir, part)
      if (!part.state.finished) continue
      pod.running.delete(part.container.name)
      this.#feed.forget(partKey(pod.uid, part.container.name))
    }
    await publishAddress(dir, parts)
    await publishBeat(dir, begun)
    const facts = new Map(
      parts.map(({ container, submittedAt, state }) => [
        container.name,
        {
          begun: submittedAt !== undefined,
          record: state.containers.get(container.name),
          finished: state.finished
        }
      ])
    )
    const now = Date.now()
    const { start, stop, end } = nextStep(plan, facts, pod.until !== undefined, now)
    if (end) return publishEnd(dir, end)
    if (stop.length > 0) pod.until ??= now + plan.graceSeconds * 1000
    const isOver = pod.until !== undefined && pod.until <= now
    for (const { container, state } of begun)
      if (!state.finished && (isOver || stop.includes(container.name))) await this.#stop(pod, container, now)
    if (pod.trouble && pod.trouble.retryAt > now) return
    delete pod.trouble
    const since = Math.min(now, ...begun.map(({ submittedAt }) => submittedAt!))
    const tried = await Promise.allSettled(
      plan.containers
        .filter(({ name }) => start.includes(name))
        .map((container) => this.#start(pod, container, (now - since) / 1000, first))
    )
    for (const each of tried) if (each.status === 'rejected') throw each.reason
    // What was started is followed, and what this made possible is looked for.
    if (start.length > 0) pod.again = true
  }

  async #stop(pod: Pod, container: PlannedContainer, now: number): Promise<void> {
    const { name } = container
    if (now - (pod.asked.get(name) ?? 0) < askMs) return
    pod.asked.set(name, now)
    const grace = Math.max(0, Math.ceil((pod.until! - now) / 1000))
    await this.#backend.cancel(this.partOf(pod, container.name), grace)
  }

  async #start(pod: Pod, container: PlannedContainer, elapsed: number, first: boolean): Promise<void> {
    const job = this.partOf(pod, container.name)
    const { namespace, name } = pod.plan.pod
    const plan = partPlan(pod.plan, container, elapsed)
    const own: Job = { uid: job.uid, namespace, name, dir: job.dir, plan }
    try {
      // A plugin before this one may have been killed at this.
      const found = (await exists(planFile(job.dir))) ? await this.#backend.find(own) : undefined
      if (!found) {
        const rendered = renderLaunches(pod.plan, this.#options)
        if ('refusals' in rendered) throw new Error(JSON.stringify(rendered.refusals))
        await writePart(plan, rendered.launches[container.name]!, job.dir)
        await this.#backend.submit(own)
      }
    } catch (error) {
      if (first) throw error
      await this.#notStarted(pod, container, job.dir, error as Error)
      return
    }
    await writeSubmission(job.dir, { uid: job.uid, jobId: job.jobId, at: Date.now() })
    pod.running.add(container.name)
    if (!first) this.#feed.follow(job.uid, job.dir)
  }

  /** What is refused for good is the end of the pod. */
  async #notStarted(pod: Pod, { name }: PlannedContainer, dir: string, error: Error): Promise<void> {
    const message = `container ${name}: ${error.message}`
    this.#log.warn({ uid: pod.uid, container: name, err: error }, 'a container could not be started')
    if (!(error instanceof PluginError) || error.retry !== 'no') {
      pod.trouble = { message, retryAt: Date.now() + retryMs }
      return
    }
    await publishEnd(dir, { at: Date.now(), reason: 'ContainerRefused', message })
    await writeSubmission(dir, { uid: partKey(pod.uid, name), jobId: '', at: Date.now() })
  }
}
