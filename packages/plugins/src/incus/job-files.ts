import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plan } from '../kit/plan/plan.ts'
import { sendProgram } from '../kit/sites/sent-files.ts'

const programs = ['init.sh', 'address.sh', 'mounts.sh', 'enter.sh']

export const programFile = (name: string): URL => new URL(`../../assets/incus/${name}`, import.meta.url)

/** What a job needs in its instance beside the supervisor's files. @param diskBytes that it may fill; absent: no limit */
export async function writeIncusFiles(plan: Plan, dir: string, diskBytes?: number): Promise<void> {
  const hosts = plan.hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  const inMemory = plan.volumes.flatMap((volume) =>
    volume.kind === 'emptyDir' && volume.memory ? [`${volume.name} ${volume.sizeBytes ?? ''}\n`] : []
  )
  const files: Record<string, string> = {
    hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost\n# the pod\n${hosts}`,
    hostname: `${plan.pod.hostname}\n`,
    'memory-volumes': inMemory.join(''),
    ...(diskBytes === undefined ? {} : { 'disk-limit': `${diskBytes}\n` })
  }
  for (const name of programs) files[name] = await readFile(programFile(name), 'utf8')
  const send = await sendProgram()
  files[send.path] = send.text
  await Promise.all(
    Object.entries(files).map(([name, text]) => writeFile(join(dir, name), text, { mode: 0o700 }))
  )
}
