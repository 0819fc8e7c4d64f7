import { PluginError, refused } from '../../errors.ts'
import type { Backend, BackendState, HeldJob, Job } from '../backend.ts'
import { writeJob } from '../supervisor/write-job.ts'
import type { Binding } from './binding.ts'
import type { DeviceBroker } from './broker.ts'
import type { Notice } from './lease.ts'
import { nodeOffer, type NodeOfferOptions } from './node-offer.ts'
import { shareDevices } from './share-devices.ts'

/** Job id of a lease, for where no job stands behind it. */
const leaseId = (uid: string) => `devices of ${uid}`
/** Between TERM and KILL once the time to go has come. */
const lastSeconds = 30

/**
 * A backend whose jobs are lent the devices they ask for: from the moment they are submitted until they have ended,
 * or have to give them back. The lease is durable before the job is handed over; one that nothing stands behind is
 * an orphan, as a job would be.
 */
export function lendDevices(backend: Backend, broker: DeviceBroker, offer: NodeOfferOptions = {}): Backend {
  const own: Partial<Backend> = {
    async submit(job) {
      const binding = await broker.acquire(job.plan)
      if (!binding) return backend.submit(job)
      try {
        return await backend.submit(await withDevices(backend, job, binding))
      } catch (error) {
        // Anything else may have been taken, and is tried again.
        if (error instanceof PluginError && error.retry === 'no') await broker.release(job.uid)
        throw error
      }
    },

    async list(jobs) {
      const states = new Map(await backend.list(jobs))
      const due = new Set((await broker.sweep()).map(({ uid }) => uid))
      for (const job of jobs) {
        const notice = broker.leases.get(job.uid)?.notice
        if (!notice) continue
        const state = states.get(job.uid) ?? { phase: 'gone' }
        const isDue = due.has(job.uid)
        states.set(job.uid, { ...state, ...(isDue ? taken(notice) : told(notice)) })
        if (state.phase !== 'gone' && isDue) await backend.cancel(job, lastSeconds)
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

    async resources() {
      const { accelerators, taints } = nodeOffer(broker.pool, offer)
      const offered = await backend.resources?.()
      const lent = new Set(accelerators.map(({ resourceType }) => resourceType))
      const others = offered?.resources?.accelerators?.filter(({ resourceType }) => !lent.has(resourceType))
      return {
        ...offered,
        resources: { ...offered?.resources, accelerators: [...(others ?? []), ...accelerators] },
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

/** The same job, whose files have its devices. */
async function withDevices(backend: Backend, job: Job, { devices }: Binding): Promise<Job> {
  const plan = shareDevices(job.plan, devices)
  const rendered = await backend.render(plan, job.dir)
  if ('refusals' in rendered) throw refused(rendered.refusals)
  const { launches, inherit = [], seenAs = job.dir } = rendered
  await writeJob(plan, launches, job.dir, { inherit, seenAs })
  return { ...job, plan }
}

const taken = ({ message }: Notice): Partial<BackendState> => ({ taken: { reason: 'Preempted', message } })

const told = ({ message, deadline }: Notice): Partial<BackendState> => ({
  notices: [
    {
      reason: 'DevicesTakenBack',
      message: `${message}; it may stay until ${new Date(deadline).toISOString()}`
    }
  ]
})

/** A class keeps its own fields, so its methods are still called on itself. */
function overridden(backend: Backend, own: Partial<Backend>): Backend {
  const inner = new Proxy(backend, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
  return Object.assign(Object.create(inner) as Backend, own)
}
