/** What the processes of containers use, from proc(5). */
import { readdir, readFile } from 'node:fs/promises'
import { statFields } from '../kit/jobs/proc.ts'
import type { ContainerUsage, SubmittedJob, Usage } from '../kit/backend.ts'

/** USER_HZ, which Linux has for every program alike; see times(2). */
const ticksPerSecond = 100
const mark = /(?:^|\0)INTERLINK_INSTANCE=([^\0]+)\.([^.\0]+)(?=\0|$)/

/** By UID, of the processes that bear the mark of a container of these jobs. */
export async function usageOf(
  jobs: readonly Pick<SubmittedJob, 'uid'>[]
): Promise<ReadonlyMap<string, Usage>> {
  const at = Date.now()
  const wanted = new Set(jobs.map(({ uid }) => uid))
  const found = new Map<string, Map<string, ContainerUsage>>()
  if (wanted.size === 0) return new Map()
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')
    const [, name = '', uid = ''] = mark.exec(await read('environ')) ?? []
    if (!wanted.has(uid)) continue
    const [stat, status] = await Promise.all([read('stat'), read('status')])
    if (stat === '') continue
    const containers = found.get(uid) ?? new Map<string, ContainerUsage>()
    const before = containers.get(name) ?? { name, cpuSeconds: 0, memoryBytes: 0 }
    containers.set(name, {
      name,
      cpuSeconds: before.cpuSeconds + statFields(stat).cpuTicks / ticksPerSecond,
      memoryBytes: before.memoryBytes + Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
    })
    found.set(uid, containers)
  }
  return new Map([...found].map(([uid, containers]) => [uid, { at, containers: [...containers.values()] }]))
}
