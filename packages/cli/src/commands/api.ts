import { loadApiConfig, startApi } from '@interlink-ts/interlink-api/server'
import { serve, type ServiceOptions } from '../serve.ts'

/** `interlink api`: the stateless API server as a service. */
export const api = (options: ServiceOptions & { readonly insecure?: boolean }): Promise<void> =>
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
