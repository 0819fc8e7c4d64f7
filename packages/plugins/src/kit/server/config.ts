import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { Type, type Static, type TSchema } from 'typebox'
import { ConfigError, loadYamlConfig, parseYamlConfig } from '@interlink-ts/interlink-api/config'
import type { BackendModule } from '../backend.ts'
import { DevicesOptions } from '../devices/devices-options.ts'
import { OrphanPolicy } from '../jobs/orphans.ts'
import { SitePolicy } from '../plan/policy.ts'

const closed = { additionalProperties: false } as const

/** The configuration of a plugin; `options` is the backend's own section. */
export const pluginConfigSchema = (options: TSchema = Type.Unknown()) =>
  Type.Object(
    {
      listen: Type.String({
        default: 'http://127.0.0.1:4000',
        pattern: '^(http://|unix:///)',
        description: 'http://ADDRESS:PORT or unix:///PATH'
      }),
      root: Type.Optional(
        Type.String({
          pattern: '^/',
          description: 'root of the job directories; only this account can read it'
        })
      ),
      policy: SitePolicyPart,
      devices: Type.Optional(DevicesOptions),
      options: { ...options, default: {} } as TSchema,
      retention: Type.Object(
        {
          deletedSeconds: Type.Number({
            default: 60,
            minimum: 0,
            description: 'how long the log of a deleted pod is kept after its job has stopped'
          }),
          tombstoneSeconds: Type.Number({
            default: 3600,
            minimum: 0,
            description: 'how long a late create of a deleted pod is turned away'
          })
        },
        { ...closed, default: {} }
      ),
      auth: Type.Object(
        {
          tokenFile: Type.Optional(Type.String({ description: 'bearer token, read again when it changes' }))
        },
        { ...closed, default: {} }
      ),
      lostSeconds: Type.Number({
        default: 20,
        minimum: 1,
        description: 'how long a job may be silent and unknown to the backend before it is taken as lost'
      }),
      listSeconds: Type.Number({
        default: 1,
        minimum: 0.1,
        description: 'between two questions to the backend while something changes'
      }),
      idleListSeconds: Type.Number({
        default: 10,
        minimum: 0.1,
        description: 'what that grows to while nothing does; less than listSeconds means the same'
      }),
      orphans: OrphanPolicy,
      heartbeatSeconds: Type.Number({
        default: 10,
        minimum: 0.1,
        description: 'between two lines of an idle watch'
      }),
      bodyLimit: Type.Integer({ default: 33_554_432, minimum: 1024, description: 'bytes of a request' })
    },
    closed
  )

const SitePolicyPart = { ...SitePolicy, default: {} } as typeof SitePolicy

export type PluginConfig = Static<ReturnType<typeof pluginConfigSchema>>
/** What may be left out has a default. */
export type PluginConfigInput = Partial<Omit<PluginConfig, 'policy'>> & {
  readonly policy?: Partial<SitePolicy>
}

export interface LoadPluginConfig {
  /** A YAML file. Without one, and without `INTERLINK_PLUGIN_CONFIG`, the defaults. */
  readonly path?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly overrides?: PluginConfigInput
  /** For the backend's own section: `given` holds whatever the file says, `defaults` where it says nothing. */
  readonly options?: { readonly given: object; readonly defaults: object }
}

/**
 * The configuration from a file and the command line, checked against the backend's own options too.
 * @throws ConfigError naming file, line and key
 */
export async function loadPluginConfig(
  module: BackendModule,
  { path, env, overrides = {}, options }: LoadPluginConfig
): Promise<ReturnType<typeof resolvePluginConfig>> {
  const file = path ?? env.INTERLINK_PLUGIN_CONFIG
  const schema = pluginConfigSchema(module.options)
  const complete = (value: unknown) =>
    options ? layer({ options: options.defaults }, value, { options: options.given }) : value
  const config = file
    ? await loadYamlConfig(file, schema, complete)
    : parseYamlConfig('', schema, 'configuration', complete)
  return resolvePluginConfig(module, { ...config, ...overrides }, env)
}

/** Later ones come before earlier ones, key by key. */
function layer(...values: readonly unknown[]): unknown {
  const present = values.filter((value) => value !== undefined)
  const last = present.at(-1)
  if (!isObject(last)) return last
  const objects = present.filter(isObject)
  const keys = new Set(objects.flatMap((value) => Object.keys(value)))
  return Object.fromEntries([...keys].map((key) => [key, layer(...objects.map((value) => value[key]))]))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Fills in the defaults; `root` is `$XDG_STATE_HOME/interlink/<backend>` where it is left out.
 * @throws ConfigError naming the key
 */
export function resolvePluginConfig(
  module: BackendModule,
  input: PluginConfigInput,
  env: Readonly<Record<string, string | undefined>> = process.env
): PluginConfig & { readonly root: string } {
  const config = parseYamlConfig(
    JSON.stringify(input),
    pluginConfigSchema(module.options),
    'configuration'
  ) as PluginConfig
  if (config.devices && !module.takesDevices)
    throw new ConfigError(
      `devices: containers of backend ${module.name} get none of a plugin; remove this section`,
      { field: 'devices' }
    )
  const state = env.XDG_STATE_HOME
  const home = state && isAbsolute(state) ? state : join(homedir(), '.local', 'state')
  return { ...config, root: config.root ?? join(home, 'interlink', module.name) }
}

/** Where a plugin listens. */
export type Listen = { readonly socket: string } | { readonly host: string; readonly port: number }

/** @throws ConfigError */
export function parseListen(text: string): Listen {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'unix:' && url.host === '' && url.pathname.length > 1)
    return { socket: decodeURIComponent(url.pathname) }
  if (url?.protocol === 'http:' && url.pathname === '/' && url.hostname !== '')
    return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port || 80) }
  throw new ConfigError('listen: expected http://ADDRESS:PORT or unix:///PATH', { field: 'listen' })
}
