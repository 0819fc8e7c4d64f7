import { readFile } from 'node:fs/promises'
import type { Plan } from '../plan/plan.ts'
import type { JobFile } from '../supervisor/render-job.ts'
import { imagesConf, type ImageOptions } from './images.ts'

let programs: Promise<JobFile[]> | undefined

/** Read once. */
function readPrograms(): Promise<JobFile[]> {
  programs ??= Promise.all(
    ['instance.sh', 'image.sh', 'environment.sh', 'rank.sh'].map(async (path) => ({
      path,
      mode: 0o600,
      text: await readFile(new URL(`../../../assets/apptainer/${path}`, import.meta.url), 'utf8')
    }))
  )
  return programs
}

/** What the launches of a job need in its directory beside the supervisor's files. */
export async function apptainerFiles({ hosts }: Plan, images: ImageOptions): Promise<JobFile[]> {
  const lines = hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  return [
    ...(await readPrograms()),
    { path: 'images.conf', mode: 0o600, text: imagesConf(images) },
    { path: 'hosts.pod', mode: 0o600, text: `# the pod\n${lines}` }
  ]
}
