import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  loadPluginConfig,
  policyOf,
  type Backend,
  type BackendModule,
  type PluginConfig,
  type SitePolicy
} from '@interlink-ts/plugins/kit'
import { UsageError } from './errors.ts'
import { createLogger } from './log.ts'

/** Each is loaded for who names it: a plugin is as small as its own backend. */
const modules: Readonly<Record<string, () => Promise<BackendModule>>> = {
  process: async () => (await import('@interlink-ts/plugins/process')).processBackend,
  slurm: async () => (await import('@interlink-ts/plugins/slurm')).slurmBackend,
  incus: async () => (await import('@interlink-ts/plugins/incus')).incusBackend,
  htcondor: async () => (await import('@interlink-ts/plugins/htcondor')).htcondorBackend
}

/**
 * The backend of that name, or of a module at that path, which exports it as its default.
 * @throws UsageError that lists those there are, or says what the module lacks
 */
export async function backendModule(name: string): Promise<BackendModule> {
  if (/\/|\.[cm]?js$/.test(name)) return importBackend(name)
  const load = Object.hasOwn(modules, name) ? modules[name] : undefined
  if (!load)
    throw new UsageError(
      `backend: "${name}" is not known; known are ${Object.keys(modules).join(', ')}, and the path of a module of your own such as ./backend.js`
    )
  return load()
}

/**
 * A backend and its site's policy as `interlink plugin` would have them, to be asked and not to run anything.
 * @throws UsageError, ConfigError
 */
export async function idleBackend(
  name: string,
  { config: path, root }: { readonly config?: string | undefined; readonly root?: string }
): Promise<{
  readonly backend: Backend
  readonly policy: SitePolicy
  readonly devices?: NonNullable<PluginConfig['devices']>
}> {
  const module = await backendModule(name)
  const config = await loadPluginConfig(module, { env: process.env, ...(path ? { path } : {}) })
  const backend = module.create(config.options, { root: root ?? config.root, log: createLogger('silent') })
  const policy = await policyOf(config.policy, backend)
  // Cards are lent by the plugin around the backend; whether by claims, a configuration without any leaves open.
  const claims = module.takesDevices === true && (config.devices?.offers ?? 'claims') === 'claims'
  return {
    backend,
    policy: { ...policy, backend: { ...policy.backend, claims } },
    ...(config.devices ? { devices: config.devices } : {})
  }
}

async function importBackend(path: string): Promise<BackendModule> {
  const file = resolve(path)
  const { default: module } = (await import(pathToFileURL(file).href).catch((error: unknown) => {
    throw new UsageError(`backend: ${file} cannot be imported: ${(error as Error).message}`)
  })) as { default?: Partial<BackendModule> }
  const { name, options, create } = module ?? {}
  const lacks =
    typeof name !== 'string' || !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)
      ? 'name, lower-case letters, digits and "-"'
      : typeof options !== 'object'
        ? 'options, a TypeBox schema'
        : typeof create !== 'function'
          ? 'create, a function'
          : undefined
  if (lacks) throw new UsageError(`backend: the default export of ${file} lacks ${lacks}`)
  return module as BackendModule
}
