import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { IncusOptions } from './options.ts'
import type { IncusConnection } from './rest/index.ts'
import { poolBytes } from './root-disk.ts'

const Machine = Type.Object({
  cpu: Type.Object({ total: Type.Integer() }),
  memory: Type.Object({ total: Type.Integer() })
})
const Limit = Type.Object({ Limit: Type.Integer() })
const Quotas = Type.Object({ resources: Type.Record(Type.String(), Limit) })

/** What the node offers: the server's machine, or the quotas of the project where these are less. */
export async function offeredResources(
  incus: IncusConnection,
  { project, profiles, taints }: IncusOptions
): Promise<Pick<PingResponse, 'resources' | 'taints'>> {
  const [machine, quotas, pool] = await Promise.all([
    incus.get<unknown>('/1.0/resources'),
    incus.get<unknown>(`/1.0/projects/${encodeURIComponent(project)}/state`),
    poolBytes(incus, profiles)
  ])
  const quota = (name: string): number => {
    const limit = Value.Check(Quotas, quotas) ? quotas.resources[name]?.Limit : undefined
    return limit === undefined || limit < 0 ? Infinity : limit
  }
  if (!Value.Check(Machine, machine)) return taints ? { taints } : {}
  const pods = Math.min(quota('instances'), quota('containers'))
  const disk = Math.min(pool ?? Infinity, quota('disk'))
  return {
    resources: {
      cpu: String(Math.min(machine.cpu.total, quota('cpu'))),
      memory: `${Math.floor(Math.min(machine.memory.total, quota('memory')) / 1024)}Ki`,
      ...(disk === Infinity ? {} : { ephemeralStorage: `${Math.floor(disk / 1024)}Ki` }),
      ...(pods === Infinity ? {} : { pods: String(pods) })
    },
    ...(taints ? { taints } : {})
  }
}

type Offer = Awaited<ReturnType<typeof offeredResources>>

/** What several servers offer together. */
export function sumOffers(offers: readonly Offer[]): Offer {
  const all = offers.map(({ resources }) => resources)
  const sum = (values: readonly (string | undefined)[]) =>
    values.reduce((total, value) => total + Number.parseInt(value ?? '0', 10), 0)
  const pods = all.map((each) => each?.pods)
  const disks = all.map((each) => each?.ephemeralStorage)
  const taints = offers.find((offer) => offer.taints)?.taints
  return {
    resources: {
      cpu: String(sum(all.map((each) => each?.cpu))),
      memory: `${sum(all.map((each) => each?.memory))}Ki`,
      ...(disks.every((each) => each !== undefined) ? { ephemeralStorage: `${sum(disks)}Ki` } : {}),
      ...(pods.every((each) => each !== undefined) ? { pods: String(sum(pods)) } : {})
    },
    ...(taints ? { taints } : {})
  }
}
