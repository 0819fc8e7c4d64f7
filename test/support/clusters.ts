import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import type { Test } from 'tap'
import {
  controlPlaneUnavailable,
  startControlPlane,
  type ControlPlaneOptions
} from '../kube/control-plane.ts'
import { kubectlEnv, kubectlFor, kubectlUnavailable, type Kubectl } from './kubectl.ts'
import { temporaryDirectory } from './reaper.ts'
import { requireReal } from './require-real.ts'

export type ClusterKind = 'dev' | 'real'

const names: Record<ClusterKind, string> = { dev: 'embedded cluster', real: 'real control plane' }

export interface TestCluster {
  kind: ClusterKind
  url: string
  kubeconfigPath: string
  /** A directory of this cluster's own, removed at its end. */
  dir: string
  /** Environment in which plain `kubectl` reaches this cluster. */
  env: NodeJS.ProcessEnv
  kubectl: Kubectl
  stop(): Promise<void>
}

/**
 * Runs the same tests twice: on the embedded cluster and on a real control plane, each new and stopped afterwards.
 * Put all tests that can share a cluster into one body: a control plane takes some ten seconds to start.
 */
export function eachCluster(
  t: Pick<Test, 'test'>,
  body: (t: Test, cluster: TestCluster) => Promise<void>,
  options?: ControlPlaneOptions
): void {
  const on = (
    kind: ClusterKind,
    unavailable: () => string | undefined,
    start: () => Promise<TestCluster>
  ): void =>
    void t.test(`on the ${names[kind]}`, async (t) => {
      if (!requireReal(t, unavailable())) return
      const cluster = await start()
      t.teardown(() => cluster.stop())
      await body(t, cluster)
    })
  on('dev', kubectlUnavailable, startDev)
  on('real', controlPlaneUnavailable, async () => ({
    kind: 'real',
    ...(await startControlPlane(options))
  }))
}

async function startDev(): Promise<TestCluster> {
  const directory = temporaryDirectory('dev')
  const cluster = await startDevCluster()
  const kubeconfigPath = join(directory.path, 'admin.kubeconfig')
  await writeFile(kubeconfigPath, cluster.kubeconfig, { mode: 0o600 })
  const env = kubectlEnv(kubeconfigPath, directory.path)
  return {
    kind: 'dev',
    url: cluster.url,
    kubeconfigPath,
    dir: directory.path,
    env,
    kubectl: kubectlFor(env),
    async stop() {
      await cluster.close()
      await directory.remove()
    }
  }
}
