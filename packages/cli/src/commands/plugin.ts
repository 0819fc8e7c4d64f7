import { loadPluginConfig, startPlugin } from '@interlink-ts/plugins/kit'
import { backendModule } from '../backends.ts'
import { serve, type ServiceOptions } from '../serve.ts'

/** `interlink plugin NAME`: a backend as a service. Its jobs go on without it. */
export async function plugin(
  backend: string,
  options: ServiceOptions & { readonly root?: string; readonly listen?: string }
): Promise<void> {
  const module = await backendModule(backend)
  const { name } = module
  return serve(`interlink-plugin-${name}`, options, async (log) => {
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
}
