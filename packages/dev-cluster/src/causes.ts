import type { Cause } from './errors.ts'

export type { Cause }

/** A value that breaks a rule. */
export const faulty = (field: string, value: unknown, rule: string): Cause => ({
  field,
  message: `Invalid value: ${JSON.stringify(value) ?? 'null'}: ${rule}`,
  reason: 'FieldValueInvalid'
})

export const required = (field: string, why?: string): Cause => ({
  field,
  message: why ? `Required value: ${why}` : 'Required value',
  reason: 'FieldValueRequired'
})

export const forbidden = (field: string, why: string): Cause => ({
  field,
  message: `Forbidden: ${why}`,
  reason: 'FieldValueForbidden'
})

export const duplicate = (field: string, value: unknown): Cause => ({
  field,
  message: `Duplicate value: ${JSON.stringify(value)}`,
  reason: 'FieldValueDuplicate'
})

/** Whether two values are equal as JSON, whatever the order of their keys. */
export const same = (a: unknown, b: unknown): boolean => ordered(a) === ordered(b)

const ordered = (value: unknown): string | undefined =>
  JSON.stringify(value, (_key, one: unknown) =>
    one && typeof one === 'object' && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one
  )
