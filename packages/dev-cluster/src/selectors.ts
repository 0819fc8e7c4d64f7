/** Label and field selectors. Source: Kubernetes "Labels and Selectors", "Field Selectors". */
import { badRequest } from './errors.ts'
import { at, type Json, type KubeObject } from './object.ts'
import type { Resource } from './resources.ts'

export type Predicate = (object: KubeObject) => boolean

const requirement =
  /^\s*(!?)\s*([A-Za-z0-9./_-]+)\s*(?:(==|=|!=|>|<)\s*([A-Za-z0-9._-]*)|\s(in|notin)\s*\(([^)]*)\))?\s*$/

/** A predicate for `a=b,c!=d,e in (f,g),!h`; undefined when the text asks for nothing. */
export function labelSelector(text: string | undefined): Predicate | undefined {
  if (!text?.trim()) return undefined
  const tests = splitOutside(text).map((part) => {
    const match = requirement.exec(part)
    if (!match) throw badRequest(`unable to parse requirement: "${part}"`)
    const [, not, key, operator, value, set, values] = match
    return labelTest(key!, not ? '!' : (operator ?? set ?? 'exists'), (value ?? values ?? '').trim())
  })
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}))
}

const splitOutside = (text: string) => text.split(/,(?![^(]*\))/)

function labelTest(
  key: string,
  operator: string,
  value: string
): (labels: Record<string, string>) => boolean {
  const values = new Set(value.split(',').map((one) => one.trim()))
  switch (operator) {
    case '=':
    case '==':
      return (labels) => labels[key] === value
    case '!=':
      return (labels) => labels[key] !== value
    case 'in':
      return (labels) => key in labels && values.has(labels[key]!)
    case 'notin':
      return (labels) => !(key in labels) || !values.has(labels[key]!)
    case '>':
      return (labels) => Number(labels[key]) > Number(value)
    case '<':
      return (labels) => Number(labels[key]) < Number(value)
    case '!':
      return (labels) => !(key in labels)
    default:
      return (labels) => key in labels
  }
}

/** A predicate for the selector of an object: matchLabels and matchExpressions. */
export function objectSelector(selector: unknown): Predicate {
  const labels = Object.entries(at<Record<string, string>>(selector, 'matchLabels') ?? {})
  const expressions =
    at<{ key: string; operator: string; values?: string[] }[]>(selector, 'matchExpressions') ?? []
  const tests = expressions.map(({ key, operator, values }) =>
    labelTest(
      key,
      { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' }[operator] ?? operator,
      (values ?? []).join(',')
    )
  )
  return (object) => {
    const own = object.metadata.labels ?? {}
    return labels.every(([key, value]) => own[key] === value) && tests.every((test) => test(own))
  }
}

/** A predicate for `spec.nodeName=x,status.phase!=Running`, of the fields that the resource can be selected by. */
export function fieldSelector(resource: Resource, text: string | undefined): Predicate | undefined {
  if (!text?.trim()) return undefined
  const tests = text.split(',').map((part) => {
    const match = /^\s*([A-Za-z0-9.]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part)
    if (!match) throw badRequest(`invalid field selector: "${part}"`)
    const [, field, operator, wanted] = match
    if (!resource.selectableFields.includes(field!)) throw badRequest(`field label not supported: ${field}`)
    const path = field!.split('.')
    const equal = operator !== '!='
    return (object: KubeObject) => (fieldText(object, path) === wanted) === equal
  })
  return (object) => tests.every((test) => test(object))
}

/** An absent boolean is false to a selector, an absent text is empty; `source` is the component of an event's source. */
function fieldText(object: KubeObject, path: readonly string[]): string {
  const value = at(object as Json, ...path)
  if (typeof value === 'object') return String(at(value, 'component') ?? '')
  if (value === undefined && booleans.has(path.at(-1)!)) return 'false'
  return value === undefined ? '' : String(value as string | number | boolean)
}

const booleans = new Set(['hostNetwork', 'unschedulable'])

export function both(...predicates: (Predicate | undefined)[]): Predicate | undefined {
  const asked = predicates.filter((predicate) => predicate !== undefined)
  return asked.length > 0 ? (object) => asked.every((predicate) => predicate(object)) : undefined
}
