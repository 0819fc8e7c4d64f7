import { readFile } from 'node:fs/promises'
import type { Job } from '../kit/backend.ts'
import type { JobFile } from '../kit/supervisor/render-job.ts'
import { scriptFiles } from './job-script.ts'
import { imagesConf, type ImageOptions } from './images.ts'

const assets = ['instance.sh', 'image.sh', 'environment.sh', 'rank.sh'].map((name) => ({
  name,
  url: new URL(`../../assets/apptainer/${name}`, import.meta.url)
}))

/** What the launches of a job need in its directory beside the supervisor's files. */
export async function jobFiles(
  { plan }: Pick<Job, 'plan'>,
  options: { readonly images: ImageOptions }
): Promise<JobFile[]> {
  if (plan.script !== undefined) return scriptFiles(plan.script)
  const programs = await Promise.all(
    assets.map(async ({ name, url }) => ({ path: name, mode: 0o600, text: await readFile(url, 'utf8') }))
  )
  const hosts = plan.hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  return [
    ...programs,
    { path: 'images.conf', mode: 0o600, text: imagesConf(options.images) },
    { path: 'hosts.pod', mode: 0o600, text: `# the pod\n${hosts}` }
  ]
}
