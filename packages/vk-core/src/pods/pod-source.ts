/** The pods of each node: one watch per node while nodes are few, one of all bound pods when they are many. */
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { Clock } from '../kube/clock.ts'
import type { Log } from '../kube/log.ts'
import { createReflector, type Change, type Reflector } from '../kube/reflector.ts'
import type { KubeClient } from '../kube/types.ts'

export interface PodSource {
  /** Starts telling of the node's pods; resolves once all that are there have been told. */
  subscribe(nodeName: string, onChange: (change: Change<Pod>) => void): Promise<void>
  stop(): Promise<void>
}

export interface PodSourceOptions {
  readonly client: KubeClient
  readonly nodes: readonly string[]
  readonly log: Log
  readonly clock?: Clock
  /** From so many nodes on one watch serves all. @default 20 */
  readonly shareFrom?: number
}

const path = '/api/v1/pods'

export function createPodSource({ client, nodes, log, clock, shareFrom = 20 }: PodSourceOptions): PodSource {
  const reflectors: Reflector<Pod>[] = []
  const subscribers = new Map<string, (change: Change<Pod>) => void>()
  const open = (fieldSelector: string, onChange: (change: Change<Pod>) => void) => {
    const reflector = createReflector<Pod>({
      client,
      path,
      query: { fieldSelector },
      onChange,
      log,
      ...(clock && { clock })
    })
    reflectors.push(reflector)
    reflector.start()
    return reflector
  }
  let shared: Reflector<Pod> | undefined

  return {
    async subscribe(nodeName, onChange) {
      if (nodes.length < shareFrom) return open(`spec.nodeName=${nodeName}`, onChange).synced
      shared ??= open('spec.nodeName!=', (change) => {
        subscribers.get(change.object.spec.nodeName ?? '')?.(change)
      })
      subscribers.set(nodeName, onChange)
      // A subscriber that comes after the first list is told of what that list held.
      for (const object of shared.values()) {
        if (object.spec.nodeName === nodeName) onChange({ type: 'added', object })
      }
      return shared.synced
    },
    async stop() {
      await Promise.all(reflectors.map((one) => one.stop()))
    }
  }
}
