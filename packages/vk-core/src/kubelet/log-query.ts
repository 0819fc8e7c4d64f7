import { VkError } from '../errors.ts'
import type { LogQuery } from '../pods/types.ts'

type RawQuery = Readonly<Record<string, string | string[] | undefined>>

/** Checks the query of `/containerLogs` as the kubelet does. Source: core/v1 PodLogOptions and its validation. */
export function parseLogQuery(raw: RawQuery): LogQuery {
  const tailLines = integer(raw, 'tailLines', 0)
  const limitBytes = integer(raw, 'limitBytes', 1)
  const sinceSeconds = integer(raw, 'sinceSeconds', 1)
  const sinceTime = time(raw, 'sinceTime')
  if (sinceSeconds !== undefined && sinceTime !== undefined)
    throw invalid('sinceTime', 'at most one of `sinceTime` or `sinceSeconds` may be specified')
  return {
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(sinceSeconds !== undefined && { sinceSeconds }),
    ...(sinceTime !== undefined && { sinceTime }),
    timestamps: flag(raw, 'timestamps'),
    previous: flag(raw, 'previous'),
    follow: flag(raw, 'follow')
  }
}

const invalid = (option: string, reason: string) => new VkError('VK_INVALID_LOG_OPTION', { option, reason })

const first = (raw: RawQuery, name: string): string | undefined => {
  const value = raw[name]
  return Array.isArray(value) ? value[0] : value
}

function integer(raw: RawQuery, name: string, minimum: number): number | undefined {
  const text = first(raw, name)
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw invalid(name, `"${text}" is not an integer`)
  if (value < minimum)
    throw invalid(name, `must be greater than ${minimum === 0 ? 'or equal to 0' : '0'}, is ${value}`)
  return value
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

function time(raw: RawQuery, name: string): string | undefined {
  const text = first(raw, name)
  if (text === undefined || text === '') return undefined
  // A plus sign of an offset that was not escaped arrives as a space.
  const value = text.replace(' ', '+')
  if (!rfc3339.test(value) || Number.isNaN(Date.parse(value)))
    throw invalid(name, `"${text}" is no RFC 3339 time such as 2026-01-02T03:04:05Z`)
  return value
}

/** Present and neither `false` nor `0` means true, as in the kubelet's conversion of query parameters. */
function flag(raw: RawQuery, name: string): boolean {
  const text = first(raw, name)
  return text !== undefined && text.toLowerCase() !== 'false' && text !== '0'
}
