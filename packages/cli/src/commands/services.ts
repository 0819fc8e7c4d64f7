import { startTelemetry } from '@interlink-ts/interlink-api/telemetry'
import { loadApiConfig, startApi } from '@interlink-ts/interlink-api/server'
import { loadPluginConfig, startPlugin } from '@interlink-ts/plugins/kit'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { backendModule } from '../backends.ts'
import { onInterrupt } from '../interrupt.ts'
import { createLogger } from '../log.ts'
import type { Logger } from 'pino'

interface ServiceOptions {
  readonly config?: string
  readonly logLevel?: string
  readonly logFormat?: string
}

/** `interlink vk`: the virtual node as a service, until TERM. Its pods go on without it. */
export const vk = (
  options: ServiceOptions & { kubeconfig?: string; context?: string; node?: string }
): Promise<void> =>
  serve('interlink-vk', options, async (log) => {
    const config = await loadVkConfig({
      ...(options.config ? { path: options.config } : {}),
      env: process.env,
      overrides: {
        ...(options.kubeconfig ? { kubeconfig: options.kubeconfig } : {}),
        ...(options.context ? { context: options.context } : {}),
        ...(options.node ? { nodes: [{ name: options.node }] } : {})
      }
    })
    const running = await startVirtualNodes(config, { log })
    for (const node of running.nodes)
      log.info({ node: node.name, kubelet: node.kubeletUrl, page: node.pageUrl }, 'node started')
    return running
  })

/** `interlink api`: the stateless API server as a service. */
export const api = (options: ServiceOptions & { insecure?: boolean }): Promise<void> =>
  serve('interlink-api', options, async (log) => {
    const config = await loadApiConfig({
      ...(options.config ? { path: options.config } : {}),
      env: process.env
    })
    const running = await startApi(
      { ...config, ...(options.insecure ? { insecure: true } : {}) },
      { logger: log }
    )
    log.info({ url: running.url }, 'api started')
    return running
  })

/** `interlink plugin NAME`: a backend as a service. Its jobs go on without it. */
export const plugin = (
  name: string,
  options: ServiceOptions & { root?: string; listen?: string }
): Promise<void> =>
  serve(`interlink-plugin-${name}`, options, async (log) => {
    const module = backendModule(name)
    const config = await loadPluginConfig(module, {
      ...(options.config ? { path: options.config } : {}),
      env: process.env,
      overrides: {
        ...(options.root ? { root: options.root } : {}),
        ...(options.listen ? { listen: options.listen } : {})
      }
    })
    const running = await startPlugin({ module, config, log })
    log.info({ url: running.url, backend: name }, 'plugin started')
    return running
  })

/** Starts a role, serves until the first signal, then closes it and flushes telemetry. */
async function serve(
  serviceName: string,
  options: ServiceOptions,
  start: (log: Logger) => Promise<{ close(): Promise<void> }>
): Promise<void> {
  const log = createLogger(options.logLevel ?? 'info', options.logFormat)
  const telemetry = await startTelemetry({ serviceName })
  const interrupted = onInterrupt(() => log.info('closing'))
  try {
    const running = await start(log)
    await interrupted.done
    await running.close()
  } finally {
    interrupted.dispose()
    await telemetry?.shutdown()
  }
}
