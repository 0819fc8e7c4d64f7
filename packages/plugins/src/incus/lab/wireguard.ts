/** Keys and configurations of WireGuard, without its programs. */
import { generateKeyPairSync } from 'node:crypto'
import { PluginError } from '../../errors.ts'
import { formatAddress, nextAddress, parseAddress, parseCidr, networkOf } from './ipv4.ts'
import type { Vpn } from './lab-options.ts'

export interface WireguardKeys {
  /** Base64 of 32 bytes, as `wg genkey` prints it. */
  readonly privateKey: string
  readonly publicKey: string
}

export function createWireguardKeys(): WireguardKeys {
  const { privateKey } = generateKeyPairSync('x25519')
  const { d, x } = privateKey.export({ format: 'jwk' }) as { d: string; x: string }
  const base64 = (text: string) => Buffer.from(text, 'base64url').toString('base64')
  return { privateKey: base64(d), publicKey: base64(x) }
}

/** What `wg-quick` and every client of WireGuard reads. */
export const wireguardConfiguration = (keys: WireguardKeys, address: string, vpn: Vpn): string =>
  [
    '[Interface]',
    `PrivateKey = ${keys.privateKey}`,
    `Address = ${address}/32`,
    ...(vpn.dns ? [`DNS = ${vpn.dns.join(', ')}`] : []),
    '',
    '[Peer]',
    `PublicKey = ${vpn.publicKey}`,
    `Endpoint = ${vpn.endpoint}`,
    `AllowedIPs = ${vpn.allowedIPs.join(', ')}`,
    'PersistentKeepalive = 25',
    ''
  ].join('\n')

/** The address that a configuration gives its user. */
export const addressIn = (configuration: string): string | undefined =>
  /^Address *= *([\d.]+)/m.exec(configuration)?.[1]

/**
 * An address for a new user: the one that was wished, or the next.
 * @param used those that users have
 * @throws PluginError LAB_EXISTS, LAB_INVALID
 */
export function userAddress(
  vpn: Vpn,
  used: readonly string[],
  { address, hole = false }: { readonly address?: string; readonly hole?: boolean }
): string {
  const { address: base, prefix } = parseCidr(vpn.network, 'vpn.network')
  const network = networkOf(base, prefix)
  const taken = new Set(used.map((one) => parseAddress(one, 'address')))
  if (address !== undefined) {
    if (taken.has(parseAddress(address, '--ip')))
      throw new PluginError('LAB_EXISTS', {
        kind: 'address',
        name: address,
        fix: 'a user has it; leave --ip out for the next one'
      })
    return address
  }
  const first = vpn.first === undefined ? network.base + 2 : parseAddress(vpn.first, 'vpn.first')
  const next = nextAddress(network, taken, { first, hole })
  if (next !== undefined) return formatAddress(next)
  throw new PluginError('LAB_INVALID', {
    field: 'vpn.network',
    reason: `${vpn.network} has no address left after the highest in use; give --hole to use a free one in between`
  })
}
