/** Keeps the ResourceSlices of one node as its backend's offer is. Level-triggered: every ping is a chance to mend. */
import type { Logger } from 'pino'
import { deviceDriver, type DeviceOffer } from '@interlink-ts/interlink-api/wire'
import { isNotFound, isRejected, type KubeClient } from '../kube/index.ts'
import { resourceSlices, withoutCounters, type ResourceSlice } from '../model/resource-slices.ts'
import { same } from '../model/status-patch.ts'

export interface SliceKeeperOptions {
  readonly kube: KubeClient
  readonly node: string
  /** Resolves once the node is registered; undefined where its object is gone. */
  readonly nodeUid: () => Promise<string | undefined>
  /** Asked only of a backend that lends by claims. */
  readonly offer: () => Promise<DeviceOffer>
  /** Names of nodes that have slices already, as the process found them. */
  readonly leftOver: () => Promise<ReadonlySet<string>>
  readonly log: Logger
  readonly now?: () => number
}

export interface SliceKeeper {
  /** To be called after every ping that succeeded. Never fails: what could not be done is tried after the next one. */
  onPing(capabilities: readonly string[]): Promise<void>
}

type SliceOfApi = ResourceSlice & { readonly metadata: { readonly name: string } }

const path = '/apis/resource.k8s.io/v1/resourceslices'
const none: DeviceOffer = { devices: [] }
/** How often it is looked whether somebody else has changed them. */
const lookMs = 60_000

export function createSliceKeeper(options: SliceKeeperOptions): SliceKeeper {
  const { kube, node, nodeUid, offer, leftOver, log, now = Date.now } = options
  let written: string | undefined
  let writtenAt = 0
  let busy = false
  let keepsCounters = true
  let failed: string | undefined

  const listed = async () =>
    (
      await kube.get<{ readonly items: readonly SliceOfApi[] }>(path, {
        fieldSelector: `spec.driver=${deviceDriver},spec.nodeName=${node}`
      })
    ).items

  async function sync(lends: boolean): Promise<void> {
    if (!lends && written === undefined && !(await leftOver()).has(node)) return
    const uid = await nodeUid()
    if (uid === undefined) return
    const offered = lends ? await offer() : none
    const key = JSON.stringify([uid, offered])
    if (key === written && now() - writtenAt < lookMs) return
    await publish(offered, uid)
    written = lends ? key : undefined
    writtenAt = now()
  }

  async function publish(offered: DeviceOffer, uid: string): Promise<void> {
    const wanted = keepsCounters ? offered : withoutCounters(offered)
    const there = await listed()
    const generation = Math.max(0, ...there.map(({ spec }) => spec.pool.generation))
    const slicesOf = (generation: number) => resourceSlices(wanted, { name: node, uid }, generation)
    if (isSame(there, slicesOf(generation))) return
    const slices = slicesOf(generation + 1)
    if (await write(slices, there)) {
      log.info({ devices: wanted.devices.length, slices: slices.length }, 'devices published')
      return
    }
    keepsCounters = false
    const left = offered.devices.length - withoutCounters(offered).devices.length
    log.warn(
      { devices: left },
      'the API server keeps no counters (feature gate DRAPartitionableDevices): devices that share a card are not offered'
    )
    await publish(offered, uid)
  }

  /** @returns false where the API server has dropped the counters */
  async function write(slices: readonly ResourceSlice[], there: readonly SliceOfApi[]): Promise<boolean> {
    const names = new Set(slices.map(({ metadata }) => metadata.name))
    for (const slice of slices) {
      const kept = await writeOne(slice)
      if (slice.spec.sharedCounters && !kept.spec.sharedCounters) return false
    }
    for (const { metadata } of there)
      if (!names.has(metadata.name))
        await kube.delete(`${path}/${metadata.name}`).catch((error: unknown) => {
          if (!isNotFound(error)) throw error
        })
    return true
  }

  async function writeOne(slice: ResourceSlice): Promise<SliceOfApi> {
    const { metadata, spec } = slice
    const { pool, devices = null, sharedCounters = null } = spec
    const { ownerReferences } = metadata
    const change = { metadata: { ownerReferences }, spec: { pool, devices, sharedCounters } }
    try {
      return await kube.patch<SliceOfApi>(`${path}/${metadata.name}`, change, 'merge')
    } catch (error) {
      if (!isNotFound(error)) throw error
      return kube.create<SliceOfApi>(path, slice)
    }
  }

  return {
    async onPing(capabilities) {
      if (busy) return
      busy = true
      try {
        await sync(capabilities.includes('devices'))
        failed = undefined
      } catch (error) {
        const reason = isNotFound(error)
          ? 'the cluster does not serve resource.k8s.io/v1; it needs Kubernetes 1.34 or later'
          : (error as Error).message
        if (reason !== failed) log.warn({ reason }, 'devices could not be published')
        failed = reason
      } finally {
        busy = false
      }
    }
  }
}

function isSame(there: readonly SliceOfApi[], wanted: readonly ResourceSlice[]): boolean {
  const byName = new Map(there.map((slice) => [slice.metadata.name, slice]))
  return (
    there.length === wanted.length &&
    wanted.every(({ metadata, spec }) => {
      const found = byName.get(metadata.name)
      const uid = found?.metadata.ownerReferences?.[0]?.uid
      return uid === metadata.ownerReferences[0]!.uid && same(found?.spec, spec)
    })
  )
}

/** Which nodes have slices already, asked until there is an answer: where nobody may or can ask, none. */
export function findLeftOver(kube: KubeClient): () => Promise<ReadonlySet<string>> {
  let found: Promise<ReadonlySet<string>> | undefined
  return () =>
    (found ??= kube
      .get<{ readonly items: readonly SliceOfApi[] }>(path, { fieldSelector: `spec.driver=${deviceDriver}` })
      .then(
        ({ items }) => new Set(items.map(({ spec }) => spec.nodeName)),
        (error: unknown) => {
          if (!isRejected(error)) found = undefined
          return new Set()
        }
      ))
}
