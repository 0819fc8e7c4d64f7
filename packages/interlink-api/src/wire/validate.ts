import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'

export interface Issue {
  /** Path in the message, such as `pod.spec.containers[0].name`. */
  readonly field: string
  readonly expected: string
  /** The kind of what was there, never its value. */
  readonly found: string
  /** The same path as keys. */
  readonly path: readonly string[]
}

const maxIssues = 10
const validators = new WeakMap<object, Validator>()

/** What keeps a value from being one of the schema; empty when nothing does. No value is quoted. */
export function validate(schema: TSchema, value: unknown): readonly Issue[] {
  const validator = validatorOf(schema)
  return validator.Check(value) ? [] : issuesOf(validator, schema, value)
}

function validatorOf(schema: TSchema): Validator {
  const found = validators.get(schema)
  if (found) return found
  const validator: Validator = Compile(schema)
  validators.set(schema, validator)
  return validator
}

function issuesOf(validator: Validator, schema: TSchema, value: unknown): Issue[] {
  const issues = new Map<string, Issue>()
  for (const { keyword, instancePath, schemaPath, params, message } of validator.Errors(value)) {
    const path = instancePath.split('/').slice(1).map(unescapePointer)
    const named = params as {
      requiredProperties?: string[]
      additionalProperties?: string[]
      allowedValue?: unknown
    }
    if (keyword === 'required')
      for (const name of named.requiredProperties ?? []) add([...path, name], 'a value')
    else if (keyword === 'additionalProperties')
      for (const name of named.additionalProperties ?? []) add([...path, name], 'no such key')
    else if (keyword === 'const') add(path, JSON.stringify(named.allowedValue))
    else if (keyword === 'pattern')
      add(path, wordsAt(schema, schemaPath) ?? message.replace(/^must match ?/, ''))
    else if (keyword !== 'anyOf' && keyword !== 'boolean')
      add(path, message.replace(/^must (be|match|have) ?/, ''))
  }
  return [...issues.values()].slice(0, maxIssues)

  function add(path: readonly string[], expected: string): void {
    const field = fieldPath(path) || 'body'
    const before = issues.get(field)
    if (before && before.expected.split(' or ').includes(expected)) return
    issues.set(field, {
      path,
      field,
      expected: before ? `${before.expected} or ${expected}` : expected,
      found: kindOf(path.reduce<unknown>(step, value))
    })
  }
}

/** What a pattern asks for in words: `x-expected` beside it. */
function wordsAt(schema: TSchema, schemaPath: string): string | undefined {
  const keys = schemaPath.split('/').slice(1).map(unescapePointer)
  const at = keys.reduce<unknown>(step, schema) as { 'x-expected'?: string } | undefined
  return at?.['x-expected']
}

const unescapePointer = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~')
const step = (at: unknown, key: string): unknown =>
  typeof at === 'object' && at !== null && Object.hasOwn(at, key)
    ? (at as Record<string, unknown>)[key]
    : undefined

const fieldPath = (path: readonly string[]): string =>
  path.reduce((text, key) => {
    if (/^\d+$/.test(key)) return `${text}[${key}]`
    if (/^[A-Za-z_$][\w$-]*$/.test(key)) return text ? `${text}.${key}` : key
    return `${text}[${JSON.stringify(key.slice(0, 100))}]`
  }, '')

const kindOf = (value: unknown): string =>
  value === undefined
    ? 'nothing'
    : value === null
      ? 'null'
      : Array.isArray(value)
        ? 'an array'
        : kinds[typeof value]!
const kinds: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'a boolean',
  object: 'an object'
}
