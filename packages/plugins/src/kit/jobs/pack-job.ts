import { spawn } from 'node:child_process'
import { buffer } from 'node:stream/consumers'

/** The plugin's own records stay with it: they hold what no job needs. */
const own = [
  'plan.json',
  'intent.json',
  'job.json',
  'deleted.json',
  'stop',
  'submit.lock',
  'user',
  'job.tar',
  'state/i.*'
]

/** A job directory, or parts of it, as a tar archive, for a job that does not see it. */
export async function packJob(dir: string, wanted: readonly string[] = ['.']): Promise<Buffer> {
  const tar = spawn('tar', ['-cf', '-', ...own.map((name) => `--exclude=./${name}`), '-C', dir, ...wanted], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const failed = new Promise<never>((_, reject) => tar.once('error', reject))
  const ended = new Promise<number | null>((resolve) => tar.once('close', resolve))
  const [bytes, said] = await Promise.race([Promise.all([buffer(tar.stdout), buffer(tar.stderr)]), failed])
  if ((await ended) !== 0) throw new Error(`tar: ${said.toString().trim()}`)
  return bytes
}
