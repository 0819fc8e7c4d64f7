import { homedir } from 'node:os'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { loadYamlConfig, parseYamlConfig } from '@interlink-ts/interlink-api/config'

const closed = { additionalProperties: false } as const
const address = { pattern: '^\\d{1,3}(\\.\\d{1,3}){3}$' }
const path = { pattern: '^~?/' }

/** A machine that carries routes and the VPN. */
const Router = Type.Object(
  {
    type: Type.Union([Type.Literal('linux'), Type.Literal('mikrotik')]),
    host: Type.String({ pattern: '^[^\\s@-][^\\s@]*$' }),
    port: Type.Integer({ default: 22, minimum: 1, maximum: 65535 }),
    user: Type.String({ minLength: 1 }),
    keyFile: Type.Optional(Type.String(path)),
    knownHostsFile: Type.Optional(Type.String(path))
  },
  closed
)
export type Router = Static<typeof Router>

const Site = Type.Object(
  {
    gateway: Type.Optional(Type.String({ ...address, description: 'of the instances' })),
    prefix: Type.Optional(Type.Integer({ minimum: 1, maximum: 30, description: 'bits of their network' })),
    first: Type.Optional(Type.String({ ...address, description: 'the first address that is given' })),
    nameservers: Type.Optional(Type.Array(Type.String(address)))
  },
  closed
)

const Vpn = Type.Object(
  {
    endpoint: Type.String({ pattern: '^[^\\s:]+:\\d{1,5}$', description: 'host:port of the hub' }),
    publicKey: Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$', description: 'of the hub' }),
    allowedIPs: Type.Array(Type.String(), { default: ['10.192.0.0/10'], description: 'what users reach' }),
    network: Type.String({ default: '10.202.1.0/24', description: 'of the users' }),
    first: Type.Optional(Type.String(address)),
    dns: Type.Optional(Type.Array(Type.String(address))),
    interface: Type.String({ default: 'wg0', pattern: '^[A-Za-z0-9._-]{1,15}$', description: 'of the hub' }),
    hub: Type.Optional(Router)
  },
  closed
)
export type Vpn = Static<typeof Vpn>

const Schema = Type.Object(
  {
    remotes: Type.Record(Type.String(), Site, { default: {}, description: 'networks of remotes, by name' }),
    vpn: Type.Optional(Vpn),
    userProjects: Type.String({
      default: 'figo-',
      pattern: '^[A-Za-z0-9-]*$',
      description: 'what the name of a user’s project begins with'
    })
  },
  closed
)

/** What `interlink lab` keeps of its own: `lab.yaml` and the files of users. */
export interface LabOptions extends Static<typeof Schema> {
  readonly dir: string
  readonly file: string
}

export const labDirectory = (env: NodeJS.ProcessEnv = process.env): string =>
  env.INTERLINK_LAB || join(env.HOME || homedir(), '.config', 'interlink', 'lab')

/** @throws ConfigError */
export async function loadLabOptions(dir: string): Promise<LabOptions> {
  const file = join(dir, 'lab.yaml')
  const options = existsSync(file) ? await loadYamlConfig(file, Schema) : parseYamlConfig('{}', Schema, file)
  return { ...options, dir, file }
}
