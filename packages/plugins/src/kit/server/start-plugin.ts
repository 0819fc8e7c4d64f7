import { chmod, readFile, stat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { isAbsolute } from 'node:path'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { ownDirectory } from '@interlink-ts/interlink-api/config'
import { PluginError } from '../../errors.ts'
import type { Backend, BackendModule } from '../backend.ts'
import { JobKeeper } from '../jobs/job-keeper.ts'
import { policyOf } from '../jobs/prepare-job.ts'
import { lockRoot } from '../jobs/root-lock.ts'
import { tombstonesName } from '../jobs/tombstones.ts'
import { isLocal } from './auth.ts'
import { buildPluginServer } from './build-plugin-server.ts'
import { parseListen, resolvePluginConfig, type Listen, type PluginConfigInput } from './config.ts'

export interface StartPluginOptions {
  readonly module: BackendModule
  readonly config: PluginConfigInput
  /** A pino logger. */
  readonly log: FastifyBaseLogger
}

export interface RunningPlugin {
  /** `http://ADDRESS:PORT` or `unix:///PATH`, with the port it got. */
  readonly url: string
  /** Ends the server; the jobs go on. */
  close(): Promise<void>
}

const version = (
  JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

/**
 * Runs a backend as a plugin: takes up the jobs of its root where they are, then serves.
 * @throws ConfigError, PluginError `PLUGIN_DEVICES_JOURNAL`, `PLUGIN_INSECURE`, `PLUGIN_ROOT`, `PLUGIN_ROOT_IN_USE`, `PLUGIN_LISTEN`
 */
export async function startPlugin({
  module,
  config: input,
  log
}: StartPluginOptions): Promise<RunningPlugin> {
  const config = resolvePluginConfig(module, input)
  const listen = parseListen(config.listen)
  const { tokenFile } = config.auth
  if (!isLocal(listen) && tokenFile === undefined)
    throw new PluginError('PLUGIN_INSECURE', { listen: config.listen })
  await makeRoot(config.root)
  const lock = await lockRoot(config.root)
  try {
    const backend = await createBackend(module, config, log)
    await backend.adopt?.()
    const keeper = await JobKeeper.open({
      backend,
      root: config.root,
      policy: await policyOf(config.policy, backend),
      log,
      ...config.retention,
      lostSeconds: config.lostSeconds,
      listSeconds: config.listSeconds,
      idleListSeconds: config.idleListSeconds,
      orphans: config.orphans
    })
    const app = buildPluginServer({
      backend,
      keeper,
      version,
      log,
      heartbeatMs: config.heartbeatSeconds * 1000,
      bodyLimit: config.bodyLimit,
      ...(tokenFile === undefined ? {} : { tokenFile })
    })
    void backend.resources?.().catch(() => {})
    try {
      const url = await listenOn(app, listen, config.listen)
      return {
        url,
        close: async () => {
          await app.close()
          await keeper.close()
          await backend.close?.()
          await lock.release()
        }
      }
    } catch (error) {
      await keeper.close()
      await backend.close?.()
      throw error
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function createBackend(
  module: BackendModule,
  { devices, options, root }: ReturnType<typeof resolvePluginConfig>,
  log: FastifyBaseLogger
): Promise<Backend> {
  const backend = module.create(options, { root, log })
  if (!devices) return backend
  try {
    // Most plugins lend nothing, and are smaller without.
    const [{ openBroker }, { lendDevices }] = await Promise.all([
      import('../devices/open-broker.ts'),
      import('../devices/lend-devices.ts')
    ])
    return lendDevices(backend, await openBroker(devices, root, backend), devices)
  } catch (error) {
    await backend.close?.()
    throw error
  }
}

async function makeRoot(root: string): Promise<void> {
  if (!isAbsolute(root)) throw new PluginError('PLUGIN_ROOT', { root, reason: 'expected an absolute path' })
  try {
    await ownDirectory(root, tombstonesName)
  } catch (error) {
    throw new PluginError('PLUGIN_ROOT', { root, reason: (error as Error).message }, error)
  }
}

async function listenOn(app: FastifyInstance, listen: Listen, text: string): Promise<string> {
  try {
    if (!('socket' in listen)) return await app.listen(listen)
    await removeStaleSocket(listen.socket)
    await app.listen({ path: listen.socket })
    await chmod(listen.socket, 0o600)
    return `unix://${listen.socket}`
  } catch (error) {
    throw new PluginError('PLUGIN_LISTEN', { listen: text, reason: (error as Error).message }, error)
  }
}

/** A socket that nobody answers on is left over from a plugin that was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isSocket()) return
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (answered) throw new Error('another process listens there')
  await unlink(path)
}
