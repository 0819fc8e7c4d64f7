import { text } from 'node:stream/consumers'
import type { Check } from '../kit/backend.ts'
import { openOn, type StreamOptions } from './slurm-streams.ts'
import type { SlurmClient } from './slurm-client.ts'
import type { Transport } from '../kit/transport/transport.ts'

const modules = ['Fcntl', 'POSIX', 'Socket', 'Time::HiRes']
const here = 'here'

/** Whether exec, attach, cp and port-forward would reach a job that runs. */
export async function checkStreams(
  cluster: { readonly slurm: SlurmClient; readonly transport: Transport },
  options: StreamOptions,
  jobId: string
): Promise<Check> {
  const name = 'exec'
  const fix =
    'let users run srun --overlap in their jobs, or ssh from the login node to the nodes of their jobs (pam_slurm_adopt), with perl on the nodes; options.streams.via: [] does without exec'
  if (options.via.length === 0) return { name, ok: true, detail: 'not offered: options.streams.via is empty' }
  const reasons: string[] = []
  for (const way of options.via) {
    const reason = await attempt()
    if (reason === undefined)
      return { name, ok: true, detail: ['reached by ' + way, ...reasons].join('; '), fix }
    reasons.push(`${way}: ${reason}`)

    async function attempt(): Promise<string | undefined> {
      try {
        const probe = ['perl', ...modules.map((module) => `-M${module}`), '-e', `print '${here}'`]
        const program = await openOn(cluster, options, way, { jobId }, probe)
        const late = setTimeout(() => program.kill(), options.startSeconds * 1000)
        program.stdin.end()
        const [said, words] = await Promise.all([text(program.stdout), text(program.stderr)]).finally(() =>
          clearTimeout(late)
        )
        if (said.endsWith(here)) return undefined
        return words.trim().split('\n').at(-1) || `no answer within ${options.startSeconds} s`
      } catch (error) {
        return (error as Error).message
      }
    }
  }
  return { name, ok: false, detail: reasons.join('; '), fix }
}
