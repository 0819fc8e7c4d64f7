import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Notice, Plan } from '../kit/plan/plan.ts'
import { formOf } from './form-of.ts'
import { IncusError, type IncusConnection } from './rest/index.ts'
import { sharedVolumes } from './split-plan.ts'

type Device = Readonly<Record<string, string>>

const Profile = Type.Object({
  devices: Type.Record(Type.String(), Type.Record(Type.String(), Type.String()))
})
const Driver = Type.Object({ driver: Type.String() })
const Space = Type.Object({ space: Type.Object({ total: Type.Integer() }) })

export interface Pool {
  readonly name: string
  /** Whether it holds a directory to a size. */
  readonly holdsSizes: boolean
}

/** The disk of an instance that is held to a size: a device in the place of the profiles' own, and the size in bytes. */
export interface RootDisk {
  readonly name: string
  readonly device: Device
  readonly bytes: number
}

/** What of storage pools the instances of a pod have; nothing where the profiles are enough. */
export interface PodDisks {
  /** In the place of the profiles' own. */
  readonly root?: RootDisk | undefined
  /** Of the volumes that its instances share. */
  readonly pool?: Pool | undefined
}

/** @param plan of a pod, or of a part, see `partPlan` */
export async function disksOf(
  incus: IncusConnection,
  plan: Plan,
  profiles: readonly string[]
): Promise<PodDisks> {
  const root = await rootDiskOf(incus, plan, profiles)
  const pool = sharedVolumes(plan).length > 0 ? await rootPool(incus, profiles) : undefined
  return { root, pool }
}

/** What the containers of a pod may write together; only where each says how much. Bytes. */
export function diskLimit({ containers, resources }: Plan): number | undefined {
  let sum = 0
  for (const { limits } of containers) {
    if (limits.ephemeralBytes === undefined) return undefined
    sum += limits.ephemeralBytes
  }
  return sum === 0 ? undefined : Math.max(sum, resources.ephemeralBytes)
}

/**
 * The root disk with the limit of the pod, or undefined where it has none, or the pool cannot hold it: of Incus'
 * drivers, `dir` takes a size and may do nothing about it for a container.
 */
async function rootDiskOf(
  incus: IncusConnection,
  plan: Plan,
  profiles: readonly string[]
): Promise<RootDisk | undefined> {
  const bytes = diskLimit(plan)
  if (bytes === undefined) return undefined
  const root = await profiledRoot(incus, profiles)
  if (!root) return undefined
  const pool = await incus.get<unknown>(pathOf(root.pool))
  if (!Value.Check(Driver, pool) || (pool.driver === 'dir' && !formOf(plan).isDiskHeldByDir)) return undefined
  return { name: root.name, device: { ...root.device, size: `${bytes}B` }, bytes }
}

/** Bytes of the pool that root disks are in; undefined where that is not to be known. */
export async function poolBytes(
  incus: IncusConnection,
  profiles: readonly string[]
): Promise<number | undefined> {
  try {
    const root = await profiledRoot(incus, profiles)
    const found = root && (await incus.get<unknown>(`${pathOf(root.pool)}/resources`))
    return Value.Check(Space, found) ? found.space.total : undefined
  } catch (error) {
    // A client of one project need not see pools.
    if (error instanceof IncusError) return undefined
    throw error
  }
}

/** The pool that root disks are in; undefined where profiles give no disk. */
export async function rootPool(
  incus: IncusConnection,
  profiles: readonly string[]
): Promise<Pool | undefined> {
  const root = await profiledRoot(incus, profiles)
  if (!root) return undefined
  const pool = await incus.get<unknown>(pathOf(root.pool)).catch((error: unknown) => {
    // A client of one project need not see pools.
    if (!(error instanceof IncusError)) throw error
  })
  return { name: root.pool, holdsSizes: Value.Check(Driver, pool) && pool.driver !== 'dir' }
}

const pathOf = (pool: string): string => `/1.0/storage-pools/${encodeURIComponent(pool)}`

/** The root disk that profiles give, and the name of its pool. The last profile wins, as with all that they say. */
async function profiledRoot(incus: IncusConnection, profiles: readonly string[]) {
  const all = await Promise.all(
    profiles.map((name) => incus.get<unknown>(`/1.0/profiles/${encodeURIComponent(name)}`))
  )
  const [name, device] =
    all
      .flatMap((profile) => (Value.Check(Profile, profile) ? Object.entries(profile.devices) : []))
      .findLast(([, { type, path }]) => type === 'disk' && path === '/') ?? []
  if (name === undefined || device?.pool === undefined) return undefined
  return { name, device, pool: device.pool }
}

/** What is asked of disks and not held. */
export function diskNotices(plan: Plan, { root, pool }: PodDisks): Notice[] {
  const open = plan.containers.some(({ limits }) => limits.ephemeralBytes !== undefined) && !root
  const shared = new Set(sharedVolumes(plan).map(({ name }) => name))
  const directories = plan.volumes.flatMap((volume) =>
    volume.kind === 'emptyDir' &&
    !volume.memory &&
    volume.sizeBytes !== undefined &&
    !(pool?.holdsSizes && shared.has(volume.name))
      ? [volume.name]
      : []
  )
  return [
    ...(open
      ? [
          {
            reason: 'EphemeralStorageNotLimited',
            message:
              diskLimit(plan) === undefined
                ? 'the use of local storage is not limited: not every container has a limit'
                : 'the use of local storage is not limited: the storage pool of the instance cannot hold a size'
          }
        ]
      : []),
    ...directories.map((name) => ({
      reason: 'SizeLimitNotHeld',
      message: shared.has(name)
        ? `the size of the directory is not limited (${name}): its storage pool cannot hold one`
        : `the size of the directory is not limited by itself (${name}); it counts to the disk of the instance`
    }))
  ]
}
