import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BackendContext, BackendState, Streams, SubmittedJob, Usage } from '../kit/backend.ts'
import { writeDurable } from '../kit/jobs/durable-file.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { overridden } from '../kit/overridden.ts'
import type { ServerBackend } from './federation.ts'
import { ownName } from './instance.ts'
import type { IncusOptions } from './options.ts'
import type { PodVolumes } from './pod-volumes.ts'
import { isSplit } from './split-plan.ts'
import { SplitPods } from './split-pods.ts'

type OneServer = ServerBackend & { readonly volumes: PodVolumes }

/** Of a pod that has several instances: what the names of all of them match. */
const splitId = (uid: string): string => `${ownName(uid)}-*`
const isSplitJob = ({ jobId }: Pick<SubmittedJob, 'jobId'>): boolean => jobId.endsWith('-*')

/** How often volumes are looked for that no pod has. */
const lookMs = 60_000

/** A backend of pods that are an instance each, which also has pods whose containers are. */
export function withLayouts(backend: OneServer, options: IncusOptions, context: BackendContext): OneServer {
  const { volumes } = backend
  const pods = new SplitPods(backend, options, context.log)
  const mark = () => rootMark(context.root)
  let lookAt = 0

  const remove = async (job: Pick<SubmittedJob, 'uid' | 'dir'>): Promise<void> => {
    await pods.remove(job)
    await volumes.remove(job.uid, await mark())
  }
  /** With the parts of split jobs in the place of these. */
  const inParts = async (jobs: readonly SubmittedJob[]) => {
    const split = jobs.filter(isSplitJob)
    const parts = await Promise.all(split.map((job) => pods.parts(job)))
    return { split, parts, asked: [...jobs.filter((job) => !isSplitJob(job)), ...parts.flat()] }
  }
  const streams = backend.streams!
  const routed: Streams = {
    exec: (job, exec) => streams.exec!(isSplitJob(job) ? pods.partOf(job, exec.container) : job, exec),
    attach: (job, attach) =>
      streams.attach!(isSplitJob(job) ? pods.partOf(job, attach.container) : job, attach),
    /** The first container that listens. */
    async portForward(job, port, signal) {
      if (!isSplitJob(job)) return streams.portForward!(job, port, signal)
      const why: Error[] = []
      for (const part of await pods.parts(job))
        try {
          return await streams.portForward!(part, port, signal)
        } catch (error) {
          why.push(error as Error)
        }
      throw why[0] ?? new Error('no container of the pod runs')
    }
  }

  return overridden<OneServer>(backend, {
    streams: routed,

    async submit(job) {
      if (!isSplit(job.plan)) return backend.submit(job)
      try {
        await volumes.make(job.plan, await mark())
        await pods.start(job)
      } catch (error) {
        await remove(job).catch((err: unknown) =>
          context.log.warn({ uid: job.uid, err }, 'a pod that did not start has left instances or volumes')
        )
        for (const folder of ['parts', 'state', 'log'])
          await rm(join(job.dir, folder), { recursive: true, force: true })
        throw error
      }
      return { jobId: splitId(job.uid) }
    },

    async find(job) {
      if (!isSplit(job.plan)) return backend.find(job)
      return (await pods.isThere(job)) ? { jobId: splitId(job.uid) } : undefined
    },

    async list(jobs) {
      const { split, parts, asked } = await inParts(jobs)
      const states = new Map(await backend.list(asked))
      if (Date.now() >= lookAt) {
        await volumes
          .look(await mark())
          .catch((err: unknown) => context.log.warn({ err }, 'volumes that no pod has are not looked for'))
        lookAt = Date.now() + lookMs
      }
      const own = await Promise.all(
        split.map(async (job): Promise<[string, BackendState]> => [job.uid, await pods.stateOf(job, states)])
      )
      for (const part of parts.flat()) states.delete(part.uid)
      for (const [uid, state] of own) states.set(uid, state)
      return states
    },

    async cancel(job, graceSeconds) {
      if (!isSplitJob(job)) return backend.cancel(job, graceSeconds)
      await writeDurable(join(job.dir, 'stop'), `${graceSeconds}\n`)
      await pods.end(job, graceSeconds)
    },

    async release(job) {
      if (isSplitJob(job)) await remove(job)
      else await backend.release?.(job)
    },

    held: () => [...backend.held!(), ...volumes.held()],

    async abandon(job) {
      if (!(await volumes.abandon(job, await mark()))) await backend.abandon!(job)
    },

    async usage(jobs) {
      const { split, parts, asked } = await inParts(jobs)
      const used = new Map(await backend.usage!(asked))
      split.forEach(({ uid }, index) => {
        const own = parts[index]!.flatMap((part) => used.get(part.uid) ?? [])
        for (const part of parts[index]!) used.delete(part.uid)
        if (own.length > 0) used.set(uid, together(own))
      })
      return used
    },

    async close() {
      await pods.close()
      await backend.close!()
    }
  })
}

const together = (usages: readonly Usage[]): Usage => ({
  at: Math.min(...usages.map(({ at }) => at)),
  containers: usages.flatMap(({ containers }) => containers)
})
