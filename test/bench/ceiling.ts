import { createNamespace, createPods, podsPath, sockets } from './pods.ts'
import { KubeRequests, type KubeTarget } from './kube-requests.ts'
import { PodWatch } from './pod-watch.ts'
import { percentile } from './figures.ts'

export interface Ceiling {
  /** Pods per second, first pod sent to last pod seen running. */
  podsPerSecond: number
  p50: number
  p95: number
}

const running = (podIP: string, startedAt: string) => ({
  status: {
    phase: 'Running',
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: startedAt,
    conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: startedAt
    })),
    containerStatuses: [
      {
        name: 'main',
        image: 'host',
        imageID: '',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt } }
      }
    ]
  }
})

/**
 * The best that any node can do on this machine: a loop that creates the same pods and patches each to Running
 * itself, with no backend, no watch to act on and no events.
 */
export async function measureCeiling(target: KubeTarget, count: number, namespace: string): Promise<Ceiling> {
  const kube = new KubeRequests(target, sockets)
  await createNamespace(kube, namespace)
  // Pods of a node that is not there would be collected under way.
  await kube.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: namespace } })
  const watch = await PodWatch.open(kube, namespace)
  try {
    await createPods(kube, {
      namespace,
      count,
      nodeOf: () => namespace,
      onSend: (name) => watch.sent.set(name, Date.now()),
      onCreated: ({ name }) =>
        kube.mergePatch(
          `${podsPath(namespace)}/${name}/status`,
          running('127.0.0.1', new Date().toISOString().replace(/\.\d+Z$/, 'Z'))
        )
    })
    await watch.until('running', count, 60_000)
    // A node that nobody keeps makes work for the controllers while others are measured.
    await kube.delete(podsPath(namespace))
    await kube.delete(`/api/v1/nodes/${namespace}`)
    return {
      podsPerSecond: watch.rate,
      p50: percentile(watch.createToRunning, 0.5),
      p95: percentile(watch.createToRunning, 0.95)
    }
  } finally {
    watch.close()
    kube.close()
  }
}
