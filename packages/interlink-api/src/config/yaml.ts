import { readFile } from 'node:fs/promises'
import type { Static, TSchema } from 'typebox'
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { InterlinkError } from '../errors.ts'
import { normalise } from '../wire/normalise.ts'
import { validate, type Issue } from '../wire/validate.ts'

/** The message says file, line, key and what was expected; it never quotes a value. */
export class ConfigError extends InterlinkError {
  constructor(
    reason: string,
    details: { file?: string; line?: number; field?: string } = {},
    cause?: unknown
  ) {
    super('IL_CONFIG', { ...details, reason }, cause)
  }
}

type Complete = (value: unknown) => unknown

/**
 * Reads a YAML file against a schema: keys without regard to case, `null` as absence, defaults filled in.
 * With `additionalProperties: false` in the schema an unknown key is an error.
 * @param complete adds what comes from elsewhere, such as the command line, before the whole is checked
 * @throws ConfigError
 */
export async function loadYamlConfig<T extends TSchema>(
  path: string,
  schema: T,
  complete?: Complete
): Promise<Static<T>> {
  try {
    return parseYamlConfig(await readFile(path, 'utf8'), schema, path, complete)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError(`${path} cannot be read: ${whyUnreadable(error)}`, { file: path }, error)
  }
}

/** In words, what an error of the file system says. */
export function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES') return 'permission denied'
  return code === 'EISDIR' ? 'it is a directory' : message
}

/** {@link loadYamlConfig} of a text that was read already; `file` is only named in errors. */
export function parseYamlConfig<T extends TSchema>(
  text: string,
  schema: T,
  file: string,
  complete?: Complete
): Static<T> {
  const { document, lines } = parse(text, file)
  const read = normalised(schema, document, file)
  const value = complete ? normalise(schema, complete(read)) : read
  const issues = validate(schema, value)
  if (issues.length === 0) return value as Static<T>
  const [first] = issues.map((issue) => ({ issue, line: lineOf(document, lines, issue.path) }))
  const { issue, line } = first!
  throw new ConfigError(`${file}:${line}: ${wordsFor(issue, schema)}`, { file, line, field: issue.field })
}

/** An alias may nest a value in itself, or blow it up. */
function normalised(schema: TSchema, document: Document.Parsed, file: string): unknown {
  try {
    return normalise(schema, document.toJS() ?? {})
  } catch (error) {
    throw new ConfigError(`${file}:1: ${(error as Error).message}`, { file, line: 1 }, error)
  }
}

/** The keys of the top level, by which the dialect of a file is told. */
export function yamlKeys(text: string, file: string): string[] {
  const { contents } = parse(text, file).document
  return isMap(contents) ? contents.items.map(({ key }) => String(isScalar(key) ? key.value : key)) : []
}

/** Says where in a file a key stands, for what a schema cannot tell: `FILE:LINE`. */
export type YamlPlace = (...path: string[]) => string

/** The place of a key, or of the nearest thing around it that is there. */
export function yamlPlaces(text: string, file: string): YamlPlace {
  const { document, lines } = parse(text, file)
  return (...path) => `${file}:${lineOf(document, lines, path)}`
}

function parse(text: string, file: string): { document: Document.Parsed; lines: LineCounter } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error) {
    const line = lines.linePos(error.pos[0]).line
    // not the parser's own words: they may quote a value
    const key = error.code === 'DUPLICATE_KEY' ? `${/^[^\s:]*/.exec(text.slice(error.pos[0]))![0]}: ` : ''
    const words = error.code.toLowerCase().replaceAll('_', ' ')
    throw new ConfigError(`${file}:${line}: ${key}${words}${fixes[error.code] ?? ''}`, { file, line })
  }
  return { document, lines }
}

const fixes: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: ': use spaces',
  DUPLICATE_KEY: ': keep one of them'
}

/** The line of the key, or of the nearest thing around it that is there. */
function lineOf(document: Document.Parsed, lines: LineCounter, path: readonly string[]): number {
  let at: unknown = document.contents
  let offset = isNode(at) ? (at.range?.[0] ?? 0) : 0
  for (const key of path) {
    if (isMap(at)) {
      const pair = at.items.find((item) => isScalar(item.key) && sameKey(item.key.value, key))
      if (!pair) break
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      at = pair.value
    } else {
      at = (at as { items?: unknown[] } | null)?.items?.[Number(key)]
      if (isNode(at)) offset = at.range?.[0] ?? offset
    }
  }
  return lines.linePos(offset).line
}

const sameKey = (found: unknown, key: string) => String(found).toLowerCase() === key.toLowerCase()

function wordsFor({ field, path, expected, found }: Issue, schema: TSchema): string {
  if (expected !== 'no such key') return `${field}: expected ${expected}, found ${found}`
  const known = propertiesAt(schema, path.slice(0, -1))
  return `${field}: there is no such key; expected ${known.length > 0 ? known.join(', ') : 'another'}`
}

function propertiesAt(schema: TSchema, path: readonly string[]): string[] {
  interface Shape {
    readonly properties?: Record<string, Shape>
    readonly items?: Shape
  }
  const at = path.reduce<Shape | undefined>(
    (shape, key) => shape?.properties?.[key] ?? shape?.items,
    schema as Shape
  )
  return Object.keys(at?.properties ?? {})
}
