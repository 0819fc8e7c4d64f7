/** What a router is told, by SSH: Linux with iproute2 and WireGuard, or RouterOS of MikroTik. */
import { PluginError } from '../../errors.ts'
import { TransportError } from '../../kit/transport/transport.ts'
import { formatAddress, parseAddress, parseNetwork } from './ipv4.ts'
import type { Router } from './lab-options.ts'
import { printable } from './scope.ts'

export interface RouteWish {
  /** `10.1.0.0/16` */
  readonly destination: string
  readonly via: string
  /** Interface. */
  readonly device?: string
}

type RouterType = Router['type']

/** One line for the router's command line. Pure. @throws PluginError LAB_INVALID */
export function routeCommand(
  type: RouterType,
  user: string,
  { destination, via, device }: RouteWish
): string {
  const { base, prefix } = parseNetwork(destination, 'destination')
  const to = `${formatAddress(base)}/${prefix}`
  const gateway = formatAddress(parseAddress(via, 'via'))
  if (device !== undefined) checkDevice(device)
  if (type === 'mikrotik')
    return `/ip route add dst-address=${to} gateway=${gateway}${device === undefined ? '' : `%${device}`}`
  return asRoot(user, [
    'ip',
    'route',
    'add',
    to,
    'via',
    gateway,
    ...(device === undefined ? [] : ['dev', device])
  ])
}

export interface Peer {
  readonly publicKey: string
  readonly address: string
  /** Of the hub. */
  readonly interface: string
  /** The user's name. */
  readonly comment: string
}

/** Lets a user of the VPN in. Pure. */
export const addPeerCommand = (type: RouterType, user: string, peer: Peer): string =>
  type === 'mikrotik'
    ? `/interface wireguard peers add interface=${peer.interface} public-key="${checkKey(peer.publicKey)}" allowed-address=${peer.address}/32 comment="${peer.comment}"`
    : asRoot(user, [
        'wg',
        'set',
        peer.interface,
        'peer',
        checkKey(peer.publicKey),
        'allowed-ips',
        `${peer.address}/32`
      ])

export const removePeerCommand = (
  type: RouterType,
  user: string,
  peer: Pick<Peer, 'interface' | 'publicKey'>
): string =>
  type === 'mikrotik'
    ? `/interface wireguard peers remove [find public-key="${checkKey(peer.publicKey)}"]`
    : asRoot(user, ['wg', 'set', peer.interface, 'peer', checkKey(peer.publicKey), 'remove'])

/** Nobody is there to type a password. */
const asRoot = (user: string, words: readonly string[]): string =>
  (user === 'root' ? words : ['sudo', '-n', ...words]).join(' ')

/** Nothing of it means anything to a shell, or to RouterOS. */
function checkKey(publicKey: string): string {
  if (/^[A-Za-z0-9+/]{43}=$/.test(publicKey)) return publicKey
  throw new PluginError('LAB_INVALID', {
    field: 'wireguard.pub',
    reason: `"${printable(publicKey)}" is no public key of WireGuard`
  })
}

function checkDevice(device: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/.test(device)) return
  throw new PluginError('LAB_INVALID', { field: '--dev', reason: `"${printable(device)}" is no interface` })
}

const answerMs = 30_000

/**
 * Runs one command on a router, whose host key has to be known.
 * @throws PluginError LAB_ROUTER where it is not reached, or refuses: RouterOS says why on its standard output, and ends
 * with status 0
 */
export async function tellRouter(router: Router, command: string): Promise<void> {
  const { host, port, user, type } = router
  const name = `${user}@${host}${port === 22 ? '' : `:${port}`}`
  const refuse = (reason: string, cause?: unknown): PluginError =>
    new PluginError('LAB_ROUTER', { router: name, reason }, cause)
  const { connectSsh } = await import('../../kit/transport/ssh-connection.ts')
  const client = await connectSsh({ ...router, keepAliveSeconds: 15, channels: 1 }, () => {}).catch(
    (error: Error) => {
      throw refuse(
        error instanceof TransportError ? error.message.replace(/^ssh \S+: /, '') : error.message,
        error
      )
    }
  )
  try {
    const { code, said } = await new Promise<{ code: number; said: string }>((resolve, reject) => {
      const timer = setTimeout(() => reject(refuse(`no end within ${answerMs / 1000} s`)), answerMs)
      client.once('close', () => reject(refuse('the connection was closed')))
      client.exec(command, (error, stream) => {
        if (error) return reject(refuse(error.message, error))
        let said = ''
        const hear = (chunk: Buffer) => (said = (said + chunk.toString()).slice(0, 4096))
        stream.on('data', hear)
        stream.stderr.on('data', hear)
        let code = 255
        stream.once('exit', (status: number | null) => (code = status ?? 255))
        stream.once('close', () => {
          clearTimeout(timer)
          resolve({ code, said: printable(said.trim()) })
        })
        stream.end()
      })
    })
    if (code !== 0) throw refuse(said || `status ${code} of ${command}`)
    if (type === 'mikrotik' && said !== '') throw refuse(said)
  } finally {
    client.removeAllListeners('close')
    client.end()
  }
}
