import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { PluginError } from '../errors.ts'
import type { HeldJob } from '../kit/backend.ts'
import type { Plan } from '../kit/plan/plan.ts'
import { isMarked, marks, ownName, profilesOf } from './instance.ts'
import type { IncusOptions } from './options.ts'
import { rootPool, type Pool } from './root-disk.ts'
import { IncusError, type IncusConnection } from './rest/index.ts'
import { sharedVolumes } from './split-plan.ts'

const Volume = Type.Object({ name: Type.String(), config: Type.Record(Type.String(), Type.String()) })
const Volumes = Type.Array(Volume)

/** What Incus is asked for, for each volume that the instances of a pod share. Pure. */
export function volumeRequests(plan: Plan, mark: string, pool: Pool) {
  const { uid, namespace, name: pod } = plan.pod
  return sharedVolumes(plan).map(({ name, sizeBytes }) => ({
    volume: name,
    path: pathOf(pool.name),
    json: {
      name: ownName(uid, name),
      type: 'custom',
      content_type: 'filesystem',
      description: `pod ${namespace}/${pod}, volume ${name}`,
      config: {
        [marks.uid]: uid,
        [marks.root]: mark,
        ...(sizeBytes !== undefined && pool.holdsSizes ? { size: `${sizeBytes}B` } : {})
      }
    }
  }))
}

/** Of a held volume, in the place of an instance's name. */
const heldPrefix = 'volume '

/** The volumes that the instances of a pod share, in the pool of their root disks: custom ones, as Incus calls them. */
export class PodVolumes {
  readonly #incus: IncusConnection
  readonly #options: IncusOptions
  /** As they were last listed. */
  #held: readonly HeldJob[] = []

  constructor(incus: IncusConnection, options: IncusOptions) {
    this.#incus = incus
    this.#options = options
  }

  /**
   * Those of a pod that are not there yet.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED`, naming the field, where the pool cannot have them
   */
  async make(plan: Plan, mark: string): Promise<void> {
    const volumes = sharedVolumes(plan)
    if (volumes.length === 0) return
    const refused = (name: string, why: string) =>
      new PluginError('PLUGIN_BACKEND_REFUSED', {
        backend: 'Incus',
        reason: `spec.volumes[${name}].emptyDir: instances share it as a volume of a storage pool, which cannot be had (${why})`
      })
    const pool = await rootPool(this.#incus, profilesOf(plan, this.#options))
    if (!pool) throw refused(volumes[0]!.name, 'the profiles have no root disk')
    for (const { volume, path, json } of volumeRequests(plan, mark, pool)) {
      if (await this.#find(pool.name, json.name, plan.pod.uid, mark)) continue
      try {
        await this.#incus.change('POST', path, { json })
      } catch (error) {
        if (error instanceof IncusError && error.status < 500) throw refused(volume, error.message)
        throw error
      }
    }
  }

  async #find(pool: string, name: string, uid: string, mark: string): Promise<boolean> {
    const found = await this.#incus.get<unknown>(`${pathOf(pool)}/${name}`).catch((error: unknown) => {
      if (error instanceof IncusError && error.isMissing) return undefined
      throw error
    })
    return Value.Check(Volume, found) && isMarked(found.config, uid, mark)
  }

  /** Whose instances are there no more. */
  async remove(uid: string, mark: string): Promise<void> {
    for (const { pool, name, config } of await this.#list(mark))
      if (isMarked(config, uid, mark)) await this.#removeOne(pool, name)
  }

  /** Looks for those of this root. */
  async look(mark: string): Promise<void> {
    this.#held = (await this.#list(mark)).map(({ pool, name, config }) => ({
      uid: config[marks.uid]!,
      jobId: `${heldPrefix}${pool}/${name}`
    }))
  }

  held(): readonly HeldJob[] {
    return this.#held
  }

  /** Whether it was a volume that is held so. */
  async abandon({ uid, jobId }: HeldJob, mark: string): Promise<boolean> {
    if (!jobId.startsWith(heldPrefix)) return false
    const [pool = '', name = ''] = jobId.slice(heldPrefix.length).split('/')
    if (await this.#find(pool, name, uid, mark)) await this.#removeOne(pool, name)
    this.#held = this.#held.filter((each) => each.jobId !== jobId)
    return true
  }

  async #removeOne(pool: string, name: string): Promise<void> {
    try {
      await this.#incus.change('DELETE', `${pathOf(pool)}/${name}`)
    } catch (error) {
      if (!(error instanceof IncusError) || !error.isMissing) throw error
    }
  }

  /** In all pools that instances can be in. */
  async #list(mark: string) {
    const { profiles, podProfiles } = this.#options
    const found = await Promise.all(
      [profiles, ...podProfiles.map((profile) => [profile])].map((each) =>
        rootPool(this.#incus, each).catch(unseen)
      )
    )
    const pools = [...new Set(found.flatMap((pool) => (pool ? [pool.name] : [])))]
    const all = await Promise.all(
      pools.map(async (pool) => {
        const answer = await this.#incus
          .get<unknown>(pathOf(pool), { recursion: 1, filter: `config.${marks.root} eq ${mark}` })
          .catch(unseen)
        if (answer === undefined) return []
        if (!Value.Check(Volumes, answer))
          throw new Error('Incus lists its volumes in a way that is not known')
        return answer
          .filter(({ config }) => config[marks.root] === mark && config[marks.uid] !== undefined)
          .map((volume) => ({ ...volume, pool }))
      })
    )
    return all.flat()
  }
}

/** A client of one project need not see pools; what it cannot see it has not made. */
function unseen(error: unknown): undefined {
  if (!(error instanceof IncusError) || error.status >= 500) throw error
}

const pathOf = (pool: string): string => `/1.0/storage-pools/${encodeURIComponent(pool)}/volumes/custom`
