import { join } from 'node:path'
import type { Logger } from 'pino'
import { startApi } from '@interlink-ts/interlink-api/server'
import { startPlugin, type RunningPlugin } from '@interlink-ts/plugins/kit'
import { backendModule } from './backends.ts'

export interface Backing {
  /** Where the node reaches the API server. */
  readonly apiUrl: string
  readonly plugin: RunningPlugin
  close(): Promise<void>
}

/** Starts a plugin and the API server in front of it, on unix sockets inside `dir`. */
export async function startBacking(backend: string, dir: string, log: Logger): Promise<Backing> {
  const root = join(dir, 'jobs')
  const pluginUrl = `unix://${join(dir, 'plugin.sock')}`
  const apiUrl = `unix://${join(dir, 'api.sock')}`
  const module = await backendModule(backend)
  const plugin = await startPlugin({
    module,
    config: { listen: pluginUrl, root },
    log: log.child({ role: 'plugin' })
  })
  try {
    const api = await startApi(
      { listen: apiUrl, plugins: [{ name: module.name, url: pluginUrl }] },
      { logger: log.child({ role: 'api' }) }
    )
    return {
      apiUrl,
      plugin,
      close: async () => {
        await api.close()
        await plugin.close()
      }
    }
  } catch (error) {
    await plugin.close()
    throw error
  }
}
