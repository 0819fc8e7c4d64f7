import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packJob } from '../kit/jobs/pack-job.ts'
import type { Plan } from '../kit/plan/plan.ts'
import { sendProgram } from '../kit/sites/sent-files.ts'
import { jobPath } from './first-program.ts'
import { cloudInitName } from './pod-wishes.ts'
import { sharedPath, sharedVolumes } from './split-plan.ts'
import type { InstanceFiles } from './rest/index.ts'

const programs = ['init.sh', 'run.sh', 'address.sh', 'mounts.sh', 'enter.sh', 'image.sh']

const programFile = (name: string): URL => new URL(`../../assets/incus/${name}`, import.meta.url)

let texts: Promise<(readonly [string, string])[]> | undefined

/** Once. */
const readPrograms = () =>
  (texts ??= Promise.all(
    programs.map(async (name) => [name, await readFile(programFile(name), 'utf8')] as const)
  ))

/** What a job needs in its instance beside the supervisor's files. @param diskBytes that it may fill; absent: no limit */
export async function writeIncusFiles(plan: Plan, dir: string, diskBytes?: number): Promise<void> {
  const hosts = plan.hosts.map(({ ip, hostnames }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  const inMemory = plan.volumes.flatMap((volume) =>
    volume.kind === 'emptyDir' && volume.memory ? [`${volume.name} ${volume.sizeBytes ?? ''}\n`] : []
  )
  const shared = new Set(sharedVolumes(plan).map(({ name }) => name))
  const own = plan.volumes.flatMap(({ name, kind }) => {
    if (shared.has(name)) return [`${sharedPath(name)} shared\n`]
    return kind === 'hostPath' ? [] : [`volumes/${name} ${kind}\n`]
  })
  const send = await sendProgram()
  const files: Record<string, string> = {
    ...Object.fromEntries(await readPrograms()),
    [send.path]: send.text,
    'own-volumes': own.join(''),
    ...(plan.fileGroup === undefined ? {} : { 'file-group': `${plan.fileGroup}\n` }),
    hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost\n# the pod\n${hosts}`,
    hostname: `${plan.pod.hostname}\n`,
    'memory-volumes': inMemory.join(''),
    ...(diskBytes === undefined ? {} : { 'disk-limit': `${diskBytes}\n` }),
    ...(plan.pod.annotations[cloudInitName] === undefined ? {} : { 'cloud-init': '' })
  }
  await Promise.all(
    Object.entries(files).map(([name, text]) => writeFile(join(dir, name), text, { mode: 0o700 }))
  )
}

/** Into a virtual machine that has booted: its job, packed, and the program that unpacks and begins it. */
export async function pushJob(files: InstanceFiles, dir: string): Promise<void> {
  await files.push(jobPath, { type: 'directory', mode: 0o700 })
  await files.push(`${jobPath}/job.tar`, { type: 'file', mode: 0o600, content: await packJob(dir) })
  const content = await readFile(programFile('machine.sh'))
  await files.push(`${jobPath}/machine.sh`, { type: 'file', mode: 0o700, content })
}
