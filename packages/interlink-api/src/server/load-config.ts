import { readFile } from 'node:fs/promises'
import {
  ConfigError,
  parseYamlConfig,
  type YamlPlace,
  whyUnreadable,
  yamlKeys,
  yamlPlaces
} from '../config/yaml.ts'
import { normalise } from '../wire/normalise.ts'
import { validate } from '../wire/validate.ts'
import { ApiConfig, type ApiConfigInput } from './config.ts'
import { fromReference, isReferenceFile, ReferenceFile, withEnvironment } from './reference-config.ts'

const referencePath = '/etc/interlink/InterLinkConfig.yaml'

export interface LoadApiConfigOptions {
  /** A file that must exist. Otherwise INTERLINKCONFIGPATH, otherwise the reference's default path if it is there. */
  readonly path?: string
  readonly env?: NodeJS.ProcessEnv
}

/**
 * Reads our configuration file, or the reference's with its environment.
 * @throws ConfigError that names file, line, key and what was expected.
 */
export async function loadApiConfig({ path, env = {} }: LoadApiConfigOptions = {}): Promise<ApiConfig> {
  const asked = path ?? (env.INTERLINKCONFIGPATH || undefined)
  const source = asked ?? referencePath
  const text = await readFile(source, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (asked === undefined && error.code === 'ENOENT') return undefined
    throw new ConfigError(`${source} cannot be read: ${whyUnreadable(error)}`, { file: source }, error)
  })
  if (text !== undefined && !isReferenceFile(yamlKeys(text, source)))
    return checked(parseYamlConfig(text, ApiConfig, source), yamlPlaces(text, source))
  const file = text === undefined ? {} : parseYamlConfig(text, ReferenceFile, source)
  const from = text === undefined ? 'the environment' : source
  const place = text === undefined ? () => from : yamlPlaces(text, source)
  return resolveApiConfig(fromReference(withEnvironment(file, env), place), from)
}

/** Fills in the defaults. @throws ConfigError */
export function resolveApiConfig(input: ApiConfigInput, source = 'the configuration'): ApiConfig {
  const value = normalise(ApiConfig, input)
  const [issue] = validate(ApiConfig, value)
  if (issue)
    throw new ConfigError(`${source}: ${issue.field}: expected ${issue.expected}, found ${issue.found}`)
  return checked(value as ApiConfig, () => source)
}

function checked(config: ApiConfig, place: YamlPlace): ApiConfig {
  const names = new Set<string>()
  for (const [index, { name }] of config.plugins.entries()) {
    if (names.has(name))
      throw new ConfigError(
        `${place('plugins', String(index))}: plugins[${index}].name: "${name}" is there twice; expected another`
      )
    names.add(name)
  }
  return config
}
