import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { serve, type ServiceOptions } from '../serve.ts'

interface VkOptions extends ServiceOptions {
  readonly kubeconfig?: string
  readonly context?: string
  readonly node?: string
}

/** `interlink vk`: the virtual node as a service, until TERM. Its pods go on without it. */
export const vk = (options: VkOptions): Promise<void> =>
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
    for (const { name, kubeletUrl, pageUrl } of running.nodes)
      log.info({ node: name, kubelet: kubeletUrl, page: pageUrl }, 'node started')
    return running
  })
