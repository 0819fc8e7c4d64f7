import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startControlPlane, type ControlPlane } from '../kube/control-plane.ts'
import { saidBy } from '../support/kubectl.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { startStack, type Stack } from '../support/stack.ts'

/** An A100 in two halves, which CUDA knows as MIG-one and MIG-two. */
export const halvedCard = (id: string) => ({
  id,
  model: 'NVIDIA A100-SXM4-40GB',
  memoryMiB: 40_960,
  sharing: {
    type: 'mig',
    geometry: 'a100-40gb',
    instances: [
      { profile: '3g.20gb', start: 0, uuid: 'MIG-one' },
      { profile: '3g.20gb', start: 4, uuid: 'MIG-two' }
    ]
  }
})

/** Of one device of a class, and where an expression is given, of one for which it holds. */
export const claimOf = (name: string, deviceClassName: string, expression?: string) => {
  const selectors = expression === undefined ? [] : [{ cel: { expression } }]
  const requests = [{ name: 'one', exactly: { deviceClassName, selectors } }]
  return {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name },
    spec: { devices: { requests } }
  }
}

/** A claim as it is answered, as far as tests look at it. */
export interface Claim {
  readonly status?: {
    readonly allocation?: { readonly devices?: { readonly results?: readonly { readonly device: string }[] } }
  }
}

export const allocatedTo = ({ status }: Claim): string | undefined =>
  status?.allocation?.devices?.results?.[0]?.device

/** A control plane, and a plugin of processes that lends cards to pods; ended after the test. */
export interface CardStack {
  readonly cluster: ControlPlane
  readonly stack: Stack
  /** What it has printed. @throws where it fails, with what it said */
  readonly kubectl: ReturnType<typeof saidBy>
  get<T>(...what: readonly string[]): Promise<T>
  /** From the plugin's next start on. */
  install(...cards: readonly object[]): Promise<void>
  /** How often devices were given, and have come back, as the journal has it. */
  leases(): Promise<{ readonly bound: number; readonly released: number }>
}

interface CardStackOptions {
  readonly cards: readonly object[]
  /** `devices` of the plugin, beside the inventory. */
  readonly devices: object
  readonly node?: Record<string, unknown>
  /** Of the node's account. @default the administrator's */
  readonly kubeconfigOf?: (cluster: ControlPlane) => Promise<string>
}

export async function startCardStack(
  t: Test,
  { cards, devices, node = {}, kubeconfigOf }: CardStackOptions
): Promise<CardStack> {
  const files = temporaryDirectory('cards')
  t.teardown(() => files.remove())
  const inventory = join(files.path, 'cards.yaml')
  const install = (...cards: readonly object[]) => writeFile(inventory, JSON.stringify({ cards }))
  await install(...cards)
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const kubeconfigPath = (await kubeconfigOf?.(cluster)) ?? cluster.kubeconfigPath
  const stack = await startStack({
    kubeconfigPath,
    node,
    plugin: {
      devices: { inventory, ...devices },
      options: { images: { apptainer: '', podman: '' } }
    }
  })
  t.teardown(() => stack.stop())
  const kubectl = saidBy(cluster.kubectl)
  return {
    cluster,
    stack,
    kubectl,
    get: async <T>(...what: readonly string[]) =>
      JSON.parse(await kubectl(['get', ...what, '-o', 'json'])) as T,
    install,
    async leases() {
      const text = await readFile(`${stack.jobs}.devices/leases.journal`, 'utf8')
      const count = (type: string) => text.split(`"type":"${type}"`).length - 1
      return { bound: count('bind'), released: count('release') }
    }
  }
}
