import { readFile } from 'node:fs/promises'
import type { Job } from '../kit/backend.ts'
import type { JobFile } from '../kit/supervisor/render-job.ts'
import { scriptFiles } from './job-script.ts'
import { imagesConf, type ImageOptions } from './images.ts'

let programs: Promise<JobFile[]> | undefined

/** Read once. */
function readPrograms(): Promise<JobFile[]> {
  programs ??= Promise.all(
    ['instance.sh', 'image.sh', 'environment.sh', 'rank.sh'].map(async (path) => ({
      path,
      mode: 0o600,
      text: await readFile(new URL(`../../assets/apptainer/${path}`, import.meta.url), 'utf8')
    }))
  )
  return programs
}

/** What the launches of a job need in its directory beside the supervisor's files. */
export async function jobFiles(
  { plan }: Pick<Job, 'plan'>,
  options: { readonly images: ImageOptions }
): Promise<JobFile[]> {
  if (plan.script !== undefined) return scriptFiles(plan.script)
  const hosts = plan.hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  return [
    ...(await readPrograms()),
    { path: 'images.conf', mode: 0o600, text: imagesConf(options.images) },
    { path: 'hosts.pod', mode: 0o600, text: `# the pod\n${hosts}` }
  ]
}
