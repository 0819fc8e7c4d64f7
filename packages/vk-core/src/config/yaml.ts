import { parseDocument } from 'yaml'
import { Value } from 'typebox/value'
import type { Static, TSchema } from 'typebox'

export class ConfigError extends Error {}
export const yamlKeys = (text: string, _file: string): string[] =>
  Object.keys(parseDocument(text).toJS() ?? {})
export function decodeYaml<T extends TSchema>(schema: T, text: string, file: string): Static<T> {
  const value: unknown = parseDocument(text).toJS() ?? {}
  if (!Value.Check(schema, value)) {
    const e = [...Value.Errors(schema, value)][0]
    throw new ConfigError(`${file}: ${e?.instancePath}: ${e?.message}`)
  }
  return value as Static<T>
}
