import { join } from 'node:path'
import type { Logger } from 'pino'
import { startApi } from '@interlink-ts/interlink-api/server'
import { startPlugin, type RunningPlugin } from '@interlink-ts/plugins/kit'
import type { UpBackend } from './up-backend.ts'

export interface Backing {
  /** Where the node reaches the API server. */
  readonly apiUrl: string
  readonly plugin: RunningPlugin
  close(): Promise<void>
}

/** Starts a plugin and the API server in front of it, on a unix socket inside `dir`. */
export async function startBacking(
  { module, config }: UpBackend,
  dir: string,
  log: Logger
): Promise<Backing> {
  const apiUrl = `unix://${join(dir, 'api.sock')}`
  const tokenFile = config.auth?.tokenFile
  const plugin = await startPlugin({ module, config, log: log.child({ role: 'plugin' }) })
  try {
    const api = await startApi(
      {
        listen: apiUrl,
        plugins: [{ name: module.name, url: plugin.url, ...(tokenFile === undefined ? {} : { tokenFile }) }]
      },
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
