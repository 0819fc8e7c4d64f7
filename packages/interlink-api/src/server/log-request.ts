import { InterlinkError } from '../errors.ts'
import { zeroTime } from '../wire/encode.ts'
import type { LogStruct } from '../wire/messages.ts'

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What the reference's API server checks, before a name can become part of a path anywhere. @throws InterlinkError 400 */
export function checkLogRequest({ Namespace, PodUID, ContainerName, Opts }: LogStruct): void {
  const refuse = (field: string, reason: string) => {
    throw new InterlinkError('IL_INVALID_LOG_OPTIONS', { field, reason })
  }
  if (!label.test(Namespace)) refuse('Namespace', 'expected a DNS label')
  if (!uuid.test(PodUID)) refuse('PodUID', 'expected a UUID in lower case')
  if (ContainerName !== '' && !label.test(ContainerName)) refuse('ContainerName', 'expected a DNS label')
  for (const field of ['Tail', 'Bytes', 'SinceSeconds'] as const)
    if (Opts[field] < 0) refuse(`Opts.${field}`, 'expected no negative number')
    else if (!Number.isSafeInteger(Opts[field])) refuse(`Opts.${field}`, 'expected at most 2^53')
  if (Opts.SinceTime !== zeroTime && Number.isNaN(Date.parse(Opts.SinceTime)))
    refuse('Opts.SinceTime', 'expected an RFC 3339 time')
  if (Opts.Tail > 0 && Opts.Bytes > 0) refuse('Opts', 'Both Tail and LimitBytes set. Set only one of them')
  if (Opts.SinceSeconds > 0 && Opts.SinceTime !== zeroTime)
    refuse('Opts', 'Both SinceSeconds and SinceTime set. Set only one of them')
}
