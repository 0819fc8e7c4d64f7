import type { Check } from '../kit/backend.ts'
import { checkReach, reachArgv, reachedBy } from '../kit/checks/check-reach.ts'
import type { Site } from '../kit/sites/site.ts'
import { errandBy, type CallHome } from '../kit/streams/call-home.ts'
import type { Transport } from '../kit/transport/transport.ts'
import type { SlurmClient } from './slurm-client.ts'
import { openOn, waysOf, type StreamOptions } from './slurm-streams.ts'

interface Reach {
  readonly slurm: SlurmClient
  readonly transport: Transport
  readonly site: Site
  readonly callHome?: CallHome | undefined
}

const fix =
  'let users run srun --overlap in their jobs, or ssh from the login node to the nodes of their jobs (pam_slurm_adopt), or let the jobs call the plugin (options.streams.callHome), with perl on the nodes; options.streams.via: [] does without exec'

/** Whether exec, attach, cp and port-forward would reach a job that runs in `dir`. */
export function checkStreams(
  cluster: Reach,
  options: StreamOptions,
  job: { readonly jobId: string; readonly dir: string }
): Promise<Check> {
  const { startSeconds } = options
  const ways = waysOf(options).map((name) => ({
    name,
    async tried() {
      if (name !== 'call-home')
        return reachedBy(await openOn(cluster, options, name, job, reachArgv()), startSeconds)
      const called = { ...job, uid: 'interlink-doctor' }
      await cluster.callHome!.check(called, errandBy(cluster.site), startSeconds * 1000)
      return undefined
    }
  }))
  return checkReach(ways, fix)
}
