/** Label and field selectors. Source: Kubernetes "Labels and Selectors", "Field Selectors". */
import { badRequest } from './errors.ts'
import { at, type Json, type KubeObject } from './object.ts'

export type Predicate = (object: KubeObject) => boolean

const requirement =
  /^\s*(!?)\s*([A-Za-z0-9./_-]+)\s*(?:(==|=|!=|>|<)\s*([^,]*)|\s(in|notin)\s*\(([^)]*)\))?\s*$/

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

/** A predicate for `spec.nodeName=x,status.phase!=Running`: any path of plain values. */
export function fieldSelector(text: string | undefined): Predicate | undefined {
  if (!text?.trim()) return undefined
  const tests = text.split(',').map((part) => {
    const match = /^\s*([A-Za-z0-9.]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part)
    if (!match) throw badRequest(`invalid field selector: "${part}"`)
    const path = match[1]!.split('.')
    const wanted = match[3]!
    const equal = match[2] !== '!='
    return (object: KubeObject) => {
      const value = at(object as Json, ...path) ?? ''
      if (typeof value === 'object') throw badRequest(`field label not supported: ${match[1]}`)
      return (String(value) === wanted) === equal
    }
  })
  return (object) => tests.every((test) => test(object))
}

export function both(...predicates: (Predicate | undefined)[]): Predicate | undefined {
  const asked = predicates.filter((predicate) => predicate !== undefined)
  return asked.length > 0 ? (object) => asked.every((predicate) => predicate(object)) : undefined
}
