import type { AddressInfo } from 'node:net'
import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest
} from 'fastify'
import type { Server } from 'node:https'
import { routeUpgrades } from '@interlink-ts/interlink-api/streams'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import { VkError } from '../errors.ts'
import type { KubeClient } from '../kube/index.ts'
import type { KubeletPods } from './pods-of.ts'
import { kubeletAuth } from './auth.ts'
import type { ClientCa } from './client-ca.ts'
import { health } from './health.ts'
import { containerLogs } from './logs.ts'
import { metrics } from './metrics.ts'
import { podLists } from './pod-lists.ts'
import type { ServingCertificate } from './serving-certificate.ts'
import { stats } from './stats.ts'
import { statusOf } from './status.ts'
import { streams } from './streams/routes.ts'

export interface KubeletServerOptions {
  /** Of all nodes behind this listener. */
  readonly pods: KubeletPods
  readonly nodeNames: readonly string[]
  readonly kube: Pick<KubeClient, 'create'>
  readonly clientCa: Pick<ClientCa, 'pem'>
  readonly certificate: ServingCertificate
  readonly metrics: Metrics
  readonly log: FastifyBaseLogger
  /** Until a request has come whole; a stream that answers it may take as long as it likes. @default 30000 */
  readonly requestTimeoutMs?: number
}

export interface KubeletServer {
  readonly app: FastifyInstance
  /** @returns the port that is served */
  listen(address: string, port: number): Promise<number>
  /** To be called when the cluster's client CA has changed. */
  refreshTrust(): void
  close(): Promise<void>
}

/** The kubelet port of one node, or of many that share it. */
export function createKubeletServer(options: KubeletServerOptions): KubeletServer {
  const { pods, nodeNames, kube, clientCa, certificate, log, requestTimeoutMs = 30_000 } = options
  const trust = () => ({ ...certificate.current, ...(clientCa.pem && { ca: clientCa.pem }) })
  let trusted = clientCa.pem

  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    exposeHeadRoutes: false,
    https: {
      ...trust(),
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      connectionsCheckingInterval: requestTimeoutMs
    }
  }) as unknown as FastifyInstance

  const renew = () => {
    try {
      ;(app.server as unknown as Server).setSecureContext({ ...trust(), minVersion: 'TLSv1.2' })
      trusted = clientCa.pem
    } catch (error) {
      log.error({ err: error }, 'certificates cannot be used')
    }
  }
  certificate.onChange(renew)

  const nodeOf = (namespace: string, pod: string) =>
    nodeNames.length === 1 ? nodeNames[0]! : (pods.get(namespace, pod)?.spec?.nodeName ?? '')

  app.register(kubeletAuth, {
    kube,
    // Without a CA of the cluster's, TLS would trust every public authority.
    trustsClientCertificates: () => trusted !== undefined,
    nodeOf: (request: FastifyRequest) => {
      const { namespace = '', pod = '' } = (request.params ?? {}) as { namespace?: string; pod?: string }
      return nodeOf(namespace, pod)
    }
  })
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof VkError) return reply.code(error.status).send(statusOf(error))
    request.log.error({ err: error }, 'kubelet request failed')
    const message = 'the node failed to answer'
    return reply.code(500).send(statusOf({ status: 500, reason: 'InternalError', message }))
  })
  app.setNotFoundHandler((request) => {
    throw new VkError('VK_ROUTE_NOT_FOUND', { method: request.method, path: request.url.split('?', 1)[0]! })
  })
  app.register(containerLogs, { pods })
  app.register(podLists, { pods })
  app.register(health)
  app.register(stats, { pods, nodeName: nodeNames[0]! })
  app.register(metrics, { pods, registry: options.metrics })
  routeUpgrades(app)
  app.register(streams, { pods, nodeOf, metrics: options.metrics })

  return {
    app,
    async listen(address, port) {
      await app.listen({ host: address, port })
      return (app.server.address() as AddressInfo).port
    },
    refreshTrust: renew,
    close: () => app.close()
  }
}
