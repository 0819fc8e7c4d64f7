/** IPv4 addresses and networks as numbers. Pure. */
import { PluginError } from '../../errors.ts'
import { printable } from './scope.ts'

export interface Network {
  /** First address, as a number. */
  readonly base: number
  /** Bits of the network, 0 to 32. */
  readonly prefix: number
}

const octet = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)'
const dotted = new RegExp(`^${octet}(?:\\.${octet}){3}$`)

const invalid = (field: string, text: string, expected: string): PluginError =>
  new PluginError('LAB_INVALID', { field, reason: `"${printable(text)}" is none: expected ${expected}` })

/** @throws PluginError LAB_INVALID */
export function parseAddress(text: string, field: string): number {
  if (!dotted.test(text)) throw invalid(field, text, 'an IPv4 address such as 10.0.0.5')
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

/** An address with the size of its network, such as 10.0.0.5/24. @throws PluginError LAB_INVALID */
export function parseCidr(
  text: string,
  field: string
): { readonly address: number; readonly prefix: number } {
  const [, address, bits] = /^([^/]+)\/(\d{1,2})$/.exec(text) ?? []
  if (address === undefined || !dotted.test(address) || Number(bits) > 32)
    throw invalid(field, text, 'an IPv4 address and the bits of its network, such as 10.0.0.5/24')
  return { address: parseAddress(address, field), prefix: Number(bits) }
}

/** A destination such as 10.0.0.0/24, with no bit beyond its network. @throws PluginError LAB_INVALID */
export function parseNetwork(text: string, field: string): Network {
  const { address, prefix } = parseCidr(text, field)
  const { base } = networkOf(address, prefix)
  if (base !== address)
    throw invalid(field, text, `a network; this address is of ${formatAddress(base)}/${prefix}`)
  return { base, prefix }
}

export function networkOf(address: number, prefix: number): Network {
  const size = 2 ** (32 - prefix)
  return { base: Math.floor(address / size) * size, prefix }
}

export const includes = ({ base, prefix }: Network, address: number): boolean =>
  address >= base && address < base + 2 ** (32 - prefix)

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.')

/**
 * The next address of a network that may be given: the one after the highest in use, or with `hole` the lowest that is
 * free. Undefined where none is left; those of the network itself and of the broadcast are nobody's.
 */
export function nextAddress(
  network: Network,
  used: ReadonlySet<number>,
  { first = network.base + 1, hole = false } = {}
): number | undefined {
  const last = network.base + 2 ** (32 - network.prefix) - 2
  const within = [...used].filter((address) => address >= first && address <= last)
  let candidate = hole || within.length === 0 ? first : within.reduce((a, b) => Math.max(a, b)) + 1
  while (used.has(candidate)) candidate++
  return candidate <= last ? candidate : undefined
}
