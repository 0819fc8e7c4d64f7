import { PluginError, refused } from '../../errors.ts'
import type { Backend, HeldJob, Job } from '../backend.ts'
import { writePlan } from '../jobs/job-directory.ts'
import { overridden } from '../overridden.ts'
import type { Plan, Refusal } from '../plan/plan.ts'
import { writeContainer } from '../supervisor/write-job.ts'
import type { Binding } from './binding.ts'
import { DeviceMissing } from './device-missing.ts'
import type { DeviceBroker } from './broker.ts'
import { requestOf } from './device-request.ts'
import type { Notice } from './lease.ts'
import { deviceOffer } from './device-offer.ts'
import { nodeOffer, type NodeOfferOptions } from './node-offer.ts'
import { shareDevices } from './share-devices.ts'

export interface LendOptions extends NodeOfferOptions {
  /** How pods ask for devices. @default resources */
  readonly offers?: 'resources' | 'claims'
}

/** Job id of a lease, for where no job stands behind it. */
const leaseId = (uid: string) => `devices of ${uid}`
/** Between TERM and KILL once the time to go has come. */
const lastSeconds = 30
/** How often cards are looked for. */
const lookMs = 5000
/** How long a card that could not be given is not tried again. */
const suspectMs = 30_000

/**
 * A backend whose jobs are lent the devices they ask for: from the moment they are submitted until they have ended,
 * or have to give them back. The lease is durable before the job is handed over; one that nothing stands behind is
 * an orphan, as a job would be.
 */
export function lendDevices(
  backend: Backend,
  broker: DeviceBroker,
  { offers = 'resources', ...offer }: LendOptions = {}
): Backend {
  const byClaims = offers === 'claims'
  const look = cardsWatch(backend, broker)
  /** On their way out, and why: for as long as they are asked for, which their lease may not be. */
  const ending = new Map<string, Notice>()
  const own: Partial<Backend> = {
    async submit(job) {
      await look.now()
      if (broker.awayOf(job.uid).length > 0) await broker.release(job.uid, { reason: 'its card is away' })
      for (;;) {
        const binding = await broker.acquire(job.plan, backend.hostsFor?.(job.plan))
        if (!binding) return backend.submit(job)
        try {
          return await backend.submit(await withDevices(backend, job, binding))
        } catch (error) {
          if (error instanceof DeviceMissing) await look.suspect(error.card)
          // Anything else may have been taken, and is tried again.
          else if (!(error instanceof PluginError) || error.retry !== 'no') throw error
          await broker.release(job.uid, { reason: (error as Error).message })
          if (!(error instanceof DeviceMissing)) throw error
        }
      }
    },

    ...(byClaims
      ? {
          async render(plan, dir) {
            const refusals = notByClaims(plan, broker)
            return refusals.length > 0 ? { refusals } : backend.render(plan, dir)
          },
          offeredDevices: () => deviceOffer(broker.pool)
        }
      : {}),

    async list(jobs) {
      const states = new Map(await backend.list(jobs))
      await look.now()
      const due = new Set((await broker.sweep()).map(({ uid }) => uid))
      const asked = new Set(jobs.map(({ uid }) => uid))
      for (const uid of ending.keys()) if (!asked.has(uid)) ending.delete(uid)
      for (const job of jobs) {
        const state = states.get(job.uid) ?? { phase: 'gone' }
        const lost = state.phase === 'gone' ? [] : broker.awayOf(job.uid)
        const notices = [...(state.notices ?? []), ...(lost.length > 0 ? [gone(lost)] : [])]
        const why = ending.get(job.uid)
        const notice = why ?? broker.leases.get(job.uid)?.notice
        if (notice && !due.has(job.uid) && !why) notices.push(told(notice))
        const isOver = notice && (why ?? due.has(job.uid))
        states.set(job.uid, {
          ...state,
          ...(notices.length > 0 ? { notices } : {}),
          ...(isOver ? { taken: { reason: 'Preempted', message: notice.message } } : {})
        })
        if (!isOver) continue
        // Why it ends is known before it does.
        if (state.phase !== 'gone' && why) await backend.cancel(job, lastSeconds)
        ending.set(job.uid, notice)
      }
      return states
    },

    async release(job) {
      await broker.release(job.uid)
      await backend.release?.(job)
    },

    held: () => [
      ...(backend.held?.() ?? []),
      ...[...broker.leases.leases()].map(({ request: { uid } }): HeldJob => ({ uid, jobId: leaseId(uid) }))
    ],

    async abandon(job) {
      if (job.jobId === leaseId(job.uid)) await broker.release(job.uid, { reason: 'no job has it' })
      else await backend.abandon?.(job)
    },

    async check() {
      const { cards, leases } = broker.status()
      const detail = `${cards.length} cards, ${leases.length} leases`
      return [...(await backend.check()), { name: 'devices', ok: true, detail }]
    },

    honours: async () => ({ ...(await backend.honours?.()), claims: byClaims }),

    async resources() {
      const { accelerators, taints } = nodeOffer(broker.pool, offer)
      const offered = await backend.resources?.()
      const lent = new Set(accelerators.map(({ resourceType }) => resourceType))
      const others = offered?.resources?.accelerators?.filter(({ resourceType }) => !lent.has(resourceType))
      return {
        ...offered,
        resources: {
          ...offered?.resources,
          accelerators: [...(others ?? []), ...(byClaims ? [] : accelerators)]
        },
        ...(taints.length > 0 ? { taints: [...(offered?.taints ?? []), ...taints] } : {})
      }
    },

    async close() {
      await backend.close?.()
      await broker.close()
    }
  }
  return overridden(backend, own)
}

/** The scheduler that allocates claims does not count what is asked for in another way. */
function notByClaims(plan: Plan, { pool }: DeviceBroker): Refusal[] {
  const { pod, resources } = plan
  const { resources: asked = {} } = requestOf({ pod, resources }, pool) ?? {}
  return Object.keys(asked).map((name) => ({
    field: `resources.limits[${name}]`,
    message: 'devices are given by resource claims here; name a claim in spec.resourceClaims'
  }))
}

/** Which cards cannot be given: those that the backend does not see, and for a while those that it could not give. */
function cardsWatch(backend: Backend, broker: DeviceBroker) {
  let lookAt = 0
  let unseen: ReadonlySet<string> = new Set()
  const suspects = new Map<string, number>()
  const tell = () => {
    for (const [card, until] of suspects) if (until < Date.now()) suspects.delete(card)
    return broker.setAway(new Set([...unseen, ...suspects.keys()]))
  }
  return {
    async now(): Promise<void> {
      if (!backend.away || Date.now() < lookAt) return
      lookAt = Date.now() + lookMs
      unseen = await backend.away(broker.cards)
      await tell()
    },
    suspect(card: string): Promise<void> {
      suspects.set(card, Date.now() + suspectMs)
      return tell()
    }
  }
}

/** The same job, whose files have its devices; those of a start before this one are replaced. */
async function withDevices(backend: Backend, job: Job, { devices }: Binding): Promise<Job> {
  const plan = shareDevices(job.plan, devices)
  const rendered = await backend.render(plan, job.dir)
  if ('refusals' in rendered) throw refused(rendered.refusals)
  const { launches, seenAs = job.dir } = rendered
  for (const container of plan.containers)
    if (container.devices) await writeContainer(plan, container, launches[container.name]!, job.dir, seenAs)
  await writePlan(job.dir, plan, { flushDirectory: true })
  return { ...job, plan }
}

const gone = (cards: readonly string[]) => ({
  reason: 'DeviceLost',
  message: `${cards.join(', ')} is gone or out of reach; nobody else gets it meanwhile, and what uses it may fail`
})

const told = ({ message, deadline }: Notice) => ({
  reason: 'DevicesTakenBack',
  message: `${message}; it may stay until ${new Date(deadline).toISOString()}`
})
