/**
 * A Kubernetes API, scheduler and a few controllers in memory: for trying out and for fast tests, never for production.
 */
import { randomBytes } from 'node:crypto'
import { chmod, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import { stringify } from 'yaml'
import { Access } from './access.ts'
import { buildApp } from './api/app.ts'
import { Cluster } from './cluster.ts'
import { bootstrap } from './control/bootstrap.ts'
import { runControllers } from './control/controller.ts'
import { certificateController } from './control/certificates.ts'
import { daemonSetController } from './control/daemon-sets.ts'
import { runGarbageCollector } from './control/garbage.ts'
import { jobController } from './control/jobs/job-controller.ts'
import { nodeLifeController } from './control/node-life.ts'
import { runScheduler } from './control/scheduler.ts'
import { deploymentController, replicaSetController } from './control/workloads.ts'
import { createPki } from './pki.ts'

export interface DevClusterOptions {
  /** @default '127.0.0.1' */
  readonly host?: string
  /** @default 0, any free one */
  readonly port?: number
  /** Bearer token of the administrator. @default a random one */
  readonly token?: string
  /** Where to write the administrator's kubeconfig (mode 0600). */
  readonly kubeconfigPath?: string
  readonly logger?: FastifyBaseLogger
  /** Without it pods are bound by the test. @default true */
  readonly scheduler?: boolean
}

export interface DevCluster {
  readonly url: string
  readonly token: string
  /** YAML of the administrator's kubeconfig. */
  readonly kubeconfig: string
  close(): Promise<void>
}

/** Starts the cluster on loopback; it forgets everything when it is closed. */
export async function startDevCluster(options: DevClusterOptions = {}): Promise<DevCluster> {
  const token = options.token ?? randomBytes(24).toString('hex')
  const cluster = new Cluster()
  const host = options.host ?? '127.0.0.1'
  const pki = await createPki(host)
  const closing = new AbortController()
  const app = buildApp(
    { cluster, access: new Access(token, cluster.store), pki, closing: closing.signal },
    options.logger
  )
  await app.listen({ host, port: options.port ?? 0 })
  const { address, port } = app.server.address() as AddressInfo
  const url = `https://${address.includes(':') ? `[${address}]` : address}:${port}`

  bootstrap(cluster, { ca: pki.ca, host: address, port })
  const control = {
    cluster,
    warn: (fields: object, message: string) => options.logger?.warn(fields, message)
  }
  const stops = [
    runGarbageCollector(cluster),
    runControllers(
      [
        jobController,
        replicaSetController,
        deploymentController,
        daemonSetController(),
        nodeLifeController,
        certificateController(pki)
      ],
      control
    ),
    ...(options.scheduler === false ? [] : [runScheduler(control)])
  ]
  const kubeconfig = kubeconfigOf(url, token, pki.ca)
  if (options.kubeconfigPath) {
    await writeFile(options.kubeconfigPath, kubeconfig, { mode: 0o600 })
    await chmod(options.kubeconfigPath, 0o600)
  }
  return {
    url,
    token,
    kubeconfig,
    close: async () => {
      closing.abort()
      stops.forEach((stop) => stop())
      await app.close()
    }
  }
}

const kubeconfigOf = (server: string, token: string, ca: string): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'dev',
    clusters: [
      { name: 'dev', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }
    ],
    users: [{ name: 'dev', user: { token } }],
    contexts: [{ name: 'dev', context: { cluster: 'dev', user: 'dev' } }]
  })
