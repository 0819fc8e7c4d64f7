import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { PluginError, refused } from '../errors.ts'
import type { Backend, BackendState, HeldJob, Job, Plan, Streams, SubmittedJob } from '../kit/backend.ts'
import type { Notice } from '../kit/plan/plan.ts'
import type { Card } from '../kit/devices/card.ts'
import { writeDurable } from '../kit/jobs/durable-file.ts'
import { chooseServer, serversFor } from './choose-server.ts'
import { formOf } from './form-of.ts'
import { sumOffers } from './offered-resources.ts'
import type { IncusOptions } from './options.ts'

/** Of a job directory: the server that the job was handed to. */
const choiceFile = 'server'

type Offer = Awaited<ReturnType<NonNullable<Backend['resources']>>>

/** One server, as a backend; `whyNoMachines` in its words, undefined where it runs virtual machines. */
export type ServerBackend = Backend & { whyNoMachines(): Promise<string | undefined> }

interface Member {
  readonly name: string
  readonly backend: ServerBackend
  /** Why it did not answer when it was last asked. */
  away?: string
  /** As it was last said; what is away offers nothing. */
  offer?: Offer
  readonly states: Map<string, BackendState>
}

/** Several servers as one backend: each pod is on one of them, and who is away takes nothing but its own share along. */
export class Federation implements Backend {
  readonly name = 'incus'
  readonly streams: Streams
  readonly #servers: IncusOptions['servers']
  readonly #members: readonly Member[]
  /** By name: why they run no virtual machines. */
  readonly #machineless = new Map<string, string>()

  constructor(options: IncusOptions, create: (options: IncusOptions) => ServerBackend) {
    this.#servers = options.servers
    this.#members = Object.entries(options.servers).map(([name, { url, tls, project = options.project }]) => {
      const { tls: _, ...common } = options
      const own = { ...common, url, project, servers: {}, ...(tls ? { tls } : {}) }
      return { name, backend: create(own), states: new Map() }
    })
    const at = <T>(job: SubmittedJob, call: (streams: Streams, job: SubmittedJob) => T): T => {
      const { member, own } = this.#own(job)
      return call(member.backend.streams!, own)
    }
    this.streams = {
      exec: (job, exec) => at(job, (streams, own) => streams.exec!(own, exec)),
      attach: (job, attach) => at(job, (streams, own) => streams.attach!(own, attach)),
      portForward: (job, port, signal) => at(job, (streams, own) => streams.portForward!(own, port, signal))
    }
  }

  async check() {
    const checks = await Promise.all(
      this.#members.map(async ({ name, backend }) =>
        (await backend.check()).map((check) => ({ ...check, name: `${name}: ${check.name}` }))
      )
    )
    return checks.flat()
  }

  /** One that answers is enough. */
  async preflight() {
    const tried = await Promise.allSettled(this.#members.map(({ backend }) => backend.preflight!()))
    if (tried.every(({ status }) => status === 'rejected')) throw (tried[0] as PromiseRejectedResult).reason
  }

  honours() {
    return this.#members[0]!.backend.honours!()
  }

  async render(...[plan, dir]: Parameters<Backend['render']>) {
    await this.#lookForMachines(plan)
    const found = serversFor(plan, this.#servers, this.#machineless)
    if (!('refusals' in found)) return this.#renderedBy(found.names, plan, dir)
    const rendered = await this.#members[0]!.backend.render(plan, dir)
    const others = 'refusals' in rendered ? rendered.refusals : []
    const told = new Set(found.refusals.map(({ field }) => field))
    return { refusals: [...others.filter(({ field }) => !told.has(field)), ...found.refusals] }
  }

  /** As the first of them shows it; what not all of them tell says who does. Who is away is not asked. */
  async #renderedBy(names: readonly string[], plan: Plan, dir: string) {
    const members = names.map((name) => this.#named(name))
    const near = members.filter(({ away }) => away === undefined)
    const asked = near.length > 0 ? near : members.slice(0, 1)
    const all = await Promise.all(
      asked.map(async ({ name, backend }) => ({ name, rendered: await backend.render(plan, dir) }))
    )
    const { rendered } = all[0]!
    if ('refusals' in rendered) return rendered
    const told = new Map<string, { readonly notice: Notice; readonly by: string[] }>()
    for (const { name, rendered } of all)
      for (const notice of 'refusals' in rendered ? [] : rendered.notices) {
        const key = `${notice.reason} ${notice.message}`
        told.set(key, { notice, by: [...(told.get(key)?.by ?? []), name] })
      }
    const notices = [...told.values()].map(({ notice, by }) =>
      by.length === all.length ? notice : { ...notice, message: `on ${by.join(', ')}: ${notice.message}` }
    )
    return { ...rendered, notices }
  }

  hostsFor(plan: Plan): readonly string[] {
    const found = serversFor(plan, this.#servers, this.#machineless)
    return 'names' in found ? found.names : []
  }

  /** Of a server that is away, what was last known holds. */
  async #lookForMachines(plan: Plan): Promise<void> {
    if (formOf(plan).type === 'container') return
    await Promise.all(
      this.#members.map(async (member) => {
        try {
          const why = await patiently(member, member.backend.whyNoMachines())
          if (why === undefined) this.#machineless.delete(member.name)
          else this.#machineless.set(member.name, why)
        } catch (error) {
          member.away = (error as Error).message
        }
      })
    )
  }

  #named(name: string): Member {
    return this.#members.find((member) => member.name === name)!
  }

  refuseCard(card: Card): string | undefined {
    const { host } = card
    const member = this.#members.find(({ name }) => name === host)
    if (member) return member.backend.refuseCard!(card)
    const names = this.#members.map(({ name }) => name).join(', ')
    return `its \`host\` is "${host}", which is none of options.servers; expected one of ${names}`
  }

  async submit(job: Job) {
    const member = await this.#choose(job)
    // Where it may be is known before it is there.
    await writeDurable(join(job.dir, choiceFile), `${member.name}\n`)
    const { jobId } = await member.backend.submit(job)
    return { jobId: `${member.name}/${jobId}` }
  }

  async #choose({ uid, plan }: Job): Promise<Member> {
    const hosts = new Set(plan.containers.flatMap(({ devices = [] }) => devices.map(({ host }) => host)))
    if (hosts.size > 1) {
      const reason = `its devices are on ${[...hosts].join(' and ')}, and a pod is one instance`
      throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason })
    }
    await this.#lookForMachines(plan)
    const found = hosts.size > 0 ? { names: [...hosts] } : serversFor(plan, this.#servers, this.#machineless)
    if ('refusals' in found) throw refused(found.refusals)
    const { names } = found
    await Promise.all(this.#members.map((member) => this.#look(member)))
    const states = this.#members.map(({ name, away, offer, states }) => ({
      name,
      isAway: away !== undefined,
      load: states.size / Math.max(1, Number(offer?.resources?.cpu ?? 1))
    }))
    const chosen = chooseServer(plan, names, this.#servers, states)
    const member = this.#members.find(({ name }) => name === chosen)
    if (member) {
      // It counts for the next choice.
      member.states.set(uid, { phase: 'queued' })
      return member
    }
    const away = this.#members.filter(({ name }) => names.includes(name))
    throw new Error(
      `no server can be reached: ${away.map(({ name, away }) => `${name}: ${away}`).join('; ')}`
    )
  }

  async #look(member: Member): Promise<void> {
    try {
      member.offer = await patiently(member, member.backend.resources!())
      delete member.away
    } catch (error) {
      member.away = (error as Error).message
    }
  }

  /** Whoever has it says so: another server is not asked for what it was never given. */
  async find(job: Job) {
    const name = (await readFile(join(job.dir, choiceFile), 'utf8').catch(() => '')).trim()
    const member = this.#members.find((each) => each.name === name)
    const found = await member?.backend.find(job)
    return found && { jobId: `${name}/${found.jobId}` }
  }

  /** What is known of the jobs of a server that is away stays as it was. */
  async list(jobs: readonly SubmittedJob[]) {
    const byMember = new Map<Member, SubmittedJob[]>(this.#members.map((member) => [member, []]))
    for (const job of jobs) {
      const { member, own } = this.#own(job)
      byMember.get(member)!.push(own)
    }
    const all = await Promise.all(
      [...byMember].map(async ([member, own]) => {
        try {
          const states = await patiently(member, member.backend.list(own))
          delete member.away
          member.states.clear()
          for (const [uid, state] of states) member.states.set(uid, state)
          return states
        } catch (error) {
          member.away = (error as Error).message
          return new Map(own.map(({ uid }) => [uid, unknown(member, uid)]))
        }
      })
    )
    const reasons = this.#members.map(({ name, away }) => `${name}: ${away}`)
    if (this.#members.every(({ away }) => away !== undefined)) throw new Error(reasons.join('; '))
    return new Map(all.flatMap((states) => [...states]))
  }

  async cancel(job: SubmittedJob, graceSeconds: number) {
    const { member, own } = this.#own(job)
    await member.backend.cancel(own, graceSeconds)
  }

  held(): HeldJob[] {
    return this.#members.flatMap(({ name, backend }) =>
      backend.held!().map(({ uid, jobId }) => ({ uid, jobId: `${name}/${jobId}` }))
    )
  }

  async abandon(job: HeldJob) {
    const { member, own } = this.#own(job)
    await member.backend.abandon!(own)
  }

  async release(job: SubmittedJob) {
    const { member, own } = this.#own(job)
    member.states.delete(job.uid)
    await member.backend.release!(own)
  }

  async usage(jobs: readonly SubmittedJob[]) {
    const used = await Promise.allSettled(
      this.#members.map((member) =>
        member.backend.usage?.(
          jobs.map((job) => this.#own(job)).flatMap((each) => (each.member === member ? [each.own] : []))
        )
      )
    )
    return new Map(used.flatMap((each) => (each.status === 'fulfilled' && each.value ? [...each.value] : [])))
  }

  async resources() {
    await Promise.all(this.#members.map((member) => this.#look(member)))
    return sumOffers(this.#members.flatMap(({ away, offer }) => (away === undefined && offer ? [offer] : [])))
  }

  async away(cards: readonly Card[]) {
    const away = await Promise.all(
      this.#members.map(async ({ name, backend, away }) => {
        const own = cards.filter(({ host }) => host === name)
        return away === undefined ? backend.away!(own) : own.map(({ id }) => id)
      })
    )
    return new Set(away.flatMap((ids) => [...ids]))
  }

  async close() {
    await Promise.all(this.#members.map(({ backend }) => backend.close!()))
  }

  /** A job as its server knows it. */
  #own<J extends HeldJob>(job: J): { readonly member: Member; readonly own: J } {
    const [, name, jobId = ''] = /^([^/]+)\/(.*)$/.exec(job.jobId) ?? []
    const member = this.#members.find((each) => each.name === name)
    // A job that had ended before it was known where.
    if (!member) return { member: this.#members[0]!, own: job }
    return { member, own: { ...job, jobId } }
  }
}

/** Who does not answer holds nobody up for long; who was away already, hardly at all. */
async function patiently<T>({ away }: Member, answer: Promise<T>): Promise<T> {
  const seconds = away === undefined ? 10 : 2
  const waiting = new AbortController()
  const over = delay(seconds * 1000, undefined, { signal: waiting.signal, ref: false }).then((): never => {
    throw new Error(`no answer within ${seconds} seconds`)
  })
  over.catch(() => {})
  try {
    return await Promise.race([answer, over])
  } finally {
    waiting.abort()
  }
}

const unknown = ({ name, away, states }: Member, uid: string): BackendState => ({
  ...(states.get(uid) ?? { phase: 'active' }),
  notices: [{ reason: 'ServerAway', message: `server ${name} cannot be reached: ${away}` }]
})
