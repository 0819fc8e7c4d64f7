import { text } from 'node:stream/consumers'
import type { Check } from '../kit/backend.ts'
import { errandBy, type CallHome } from '../kit/streams/call-home.ts'
import { openOn, waysOf, type StreamOptions, type WayName } from './slurm-streams.ts'
import type { Site } from '../kit/sites/site.ts'
import type { SlurmClient } from './slurm-client.ts'
import type { Transport } from '../kit/transport/transport.ts'

const modules = ['Fcntl', 'POSIX', 'Socket', 'Time::HiRes']
const here = 'here'

interface Reach {
  readonly slurm: SlurmClient
  readonly transport: Transport
  readonly site: Site
  readonly callHome?: CallHome | undefined
}

/** Whether exec, attach, cp and port-forward would reach a job that runs in `dir`. */
export async function checkStreams(
  cluster: Reach,
  options: StreamOptions,
  job: { readonly jobId: string; readonly dir: string }
): Promise<Check> {
  const name = 'exec'
  const fix =
    'let users run srun --overlap in their jobs, or ssh from the login node to the nodes of their jobs (pam_slurm_adopt), or let the jobs call the plugin (options.streams.callHome), with perl on the nodes; options.streams.via: [] does without exec'
  const ways = waysOf(options)
  if (ways.length === 0) return { name, ok: true, detail: 'not offered: options.streams.via is empty' }
  const reasons: string[] = []
  for (const way of ways) {
    const attempt = way === 'call-home' ? call(cluster, options, job) : probe(cluster, options, way, job)
    const reason = await attempt.catch((error: Error) => error.message)
    if (reason === undefined)
      return { name, ok: true, detail: ['reached by ' + way, ...reasons].join('; '), fix }
    reasons.push(`${way}: ${reason}`)
  }
  return { name, ok: false, detail: reasons.join('; '), fix }
}

async function probe(
  cluster: Reach,
  options: StreamOptions,
  way: Exclude<WayName, 'call-home'>,
  { jobId }: { readonly jobId: string }
): Promise<string | undefined> {
  const argv = ['perl', ...modules.map((module) => `-M${module}`), '-e', `print '${here}'`]
  const program = await openOn(cluster, options, way, { jobId }, argv)
  const late = setTimeout(() => program.kill(), options.startSeconds * 1000)
  program.stdin.end()
  const [said, words] = await Promise.all([text(program.stdout), text(program.stderr)]).finally(() =>
    clearTimeout(late)
  )
  if (said.endsWith(here)) return undefined
  return words.trim().split('\n').at(-1) || `no answer within ${options.startSeconds} s`
}

async function call(
  { site, callHome }: Reach,
  { startSeconds }: StreamOptions,
  job: { readonly jobId: string; readonly dir: string }
): Promise<string | undefined> {
  await callHome!.check({ ...job, uid: 'interlink-doctor' }, errandBy(site), startSeconds * 1000)
  return undefined
}
