import { parse, stringify } from 'yaml'
import { PluginError } from '../../errors.ts'
import type { LabOptions } from './lab-options.ts'
import { isRunning, type Devices, type InstanceRecord } from './instance-record.ts'
import { instancePath, nameOfFound, recordsOf, type Found } from './instances.ts'
import { formatAddress, includes, networkOf, nextAddress, parseAddress, parseCidr } from './ipv4.ts'
import type { LabServer } from './remotes.ts'
import { printable } from './scope.ts'

export interface AddressWish {
  /** `10.0.0.5/24`; absent: the next one of the network. */
  readonly cidr?: string
  readonly gateway?: string
  /** @default eth0 */
  readonly nic?: string
  /** The lowest address that is free instead of the one after the highest. */
  readonly hole?: boolean
}

export interface PlannedAddress {
  readonly cidr: string
  readonly gateway: string
  readonly nic: string
  readonly nameservers: readonly string[]
  /** Devices of the instance: the lease of a bridge of Incus follows the address. */
  readonly device?: Readonly<Record<string, string>>
}

const networkKey = 'cloud-init.network-config'
/** As FIGO writes it, which older images read. */
const olderKey = 'user.network-config'

/**
 * Where the address is, and that nobody of the remote has it.
 * @param profiles of the instance, which say on what network its card is
 * @param self is not counted among those who have an address
 */
export async function planAddress(
  server: LabServer,
  options: LabOptions,
  { cidr, gateway, nic = 'eth0', hole = false }: AddressWish,
  profiles: readonly string[],
  own: Devices = {},
  self?: string
): Promise<PlannedAddress> {
  if (!/^[A-Za-z][A-Za-z0-9._-]{0,14}$/.test(nic))
    throw new PluginError('LAB_INVALID', { field: '--nic', reason: `"${printable(nic)}" is no network card` })
  const device = await cardOf(server, nic, profiles, own)
  const bridge = device?.network === undefined ? undefined : await bridgeOf(server, device.network)
  const site = options.remotes[server.remote]
  const wished = cidr === undefined ? undefined : parseCidr(cidr, '--ip')
  const known = gateway ?? site?.gateway ?? bridge?.split('/')[0]
  const prefix =
    wished?.prefix ?? site?.prefix ?? (bridge === undefined ? undefined : Number(bridge.split('/')[1]))
  if (known === undefined || prefix === undefined)
    throw new PluginError('LAB_INVALID', {
      field: known === undefined ? '--gw' : '--ip',
      reason: `the network of ${nic} on remote ${server.remote} is not known; give it, or set remotes.${server.remote}.gateway and prefix in ${options.file}`
    })
  const router = parseAddress(known, '--gw')
  const network = networkOf(router, prefix)
  if (wished && !includes(network, wished.address))
    throw new PluginError('LAB_INVALID', {
      field: '--ip',
      reason: `${cidr} is not of the network ${formatAddress(network.base)}/${prefix} of the gateway ${known}; give --gw`
    })
  const used = await usedAddresses(server, self)
  used.set(router, `the gateway of ${nic}`)
  const first = site?.first === undefined ? network.base + 1 : parseAddress(site.first, 'first')
  const address = wished?.address ?? nextAddress(network, new Set(used.keys()), { first, hole })
  if (address === undefined)
    throw new PluginError('LAB_INVALID', {
      field: '--ip',
      reason: `${formatAddress(network.base)}/${prefix} has no address left after the highest in use; ${hole ? 'delete instances' : 'give --hole to use a free one in between'}`
    })
  const holder = used.get(address)
  if (holder !== undefined)
    throw new PluginError('LAB_EXISTS', {
      kind: 'address',
      name: formatAddress(address),
      fix: `it is of ${holder}; leave --ip out for the next one that is free`
    })
  return {
    cidr: `${formatAddress(address)}/${prefix}`,
    gateway: known,
    nic,
    nameservers: site?.nameservers ?? [known],
    ...(device && bridge !== undefined && includes(networkOfText(bridge), address) ? { device } : {})
  }
}

function networkOfText(cidr: string) {
  const { address, prefix } = parseCidr(cidr, 'bridge')
  return networkOf(address, prefix)
}

/** What the address changes in an instance. */
export function addressChange({ cidr, gateway, nic, nameservers, device }: PlannedAddress) {
  const document = {
    version: 2,
    ethernets: {
      [nic]: {
        dhcp4: false,
        addresses: [cidr],
        routes: [{ to: 'default', via: gateway }],
        nameservers: { addresses: nameservers }
      }
    }
  }
  const text = stringify(document)
  return {
    config: { [networkKey]: text, [olderKey]: text },
    devices: device ? { [nic]: { ...device, 'ipv4.address': cidr.split('/')[0]! } } : {}
  }
}

/** The card of an instance: its own, or that of the last profile that has one. */
async function cardOf(
  server: LabServer,
  nic: string,
  profiles: readonly string[],
  own: Devices
): Promise<Readonly<Record<string, string>> | undefined> {
  if (own[nic]) return own[nic]
  for (const profile of [...profiles].reverse()) {
    const found = await server.find<{ devices: Devices }>(`/1.0/profiles/${encodeURIComponent(profile)}`)
    if (found?.devices[nic]) return found.devices[nic]
  }
  return undefined
}

/** Address and size of a bridge that Incus has made, such as 10.1.2.1/24. */
async function bridgeOf(server: LabServer, name: string): Promise<string | undefined> {
  const network = await server.find<{ managed: boolean; config: Record<string, string> }>(
    `/1.0/networks/${encodeURIComponent(name)}`
  )
  const address = network?.config['ipv4.address']
  return network?.managed && address?.includes('/') ? address : undefined
}

/** Every address that an instance of the remote was given or has, with the instance's name. */
async function usedAddresses(server: LabServer, self: string | undefined): Promise<Map<number, string>> {
  const used = new Map<number, string>()
  for (const record of await recordsOf(server, { state: true })) {
    const name = `${record.project}.${record.name}`
    if (name !== self) for (const address of addressesOf(record)) used.set(address, name)
  }
  return used
}

/** What an instance was given, and where it was asked, what it has. */
export function addressesOf(record: InstanceRecord): number[] {
  const live = Object.values(record.state?.network ?? {})
    .flatMap(({ addresses }) => addresses ?? [])
    .filter(({ family, scope }) => family === 'inet' && scope === 'global')
    .map(({ address }) => address)
  const leased = Object.values(record.expanded_devices).flatMap((device) => device['ipv4.address'] ?? [])
  const given = [networkKey, olderKey].flatMap((key) => configuredAddresses(record.expanded_config[key]))
  return [...live, ...leased, ...given].flatMap((text) => {
    try {
      return [parseAddress(text, 'address')]
    } catch {
      // Somebody else's words, and none that an address of ours could collide with.
      return []
    }
  })
}

interface Netplan {
  readonly ethernets?: Readonly<Record<string, { readonly addresses?: readonly string[] } | null>>
}

function configuredAddresses(text: string | undefined): string[] {
  if (text === undefined) return []
  try {
    const { ethernets } = (parse(text) ?? {}) as Netplan
    return Object.values(ethernets ?? {}).flatMap((card) =>
      (card?.addresses ?? []).map((address) => String(address).split('/')[0]!)
    )
  } catch {
    return []
  }
}

/** Gives a stopped instance an address that it has from its next start on. @throws PluginError */
export async function setAddress(
  found: Found,
  options: LabOptions,
  wish: AddressWish
): Promise<PlannedAddress> {
  const { server, record } = found
  if (isRunning(record))
    throw new PluginError('LAB_STATE', {
      name: nameOfFound(found),
      state: 'is running',
      fix: 'stop it first: an address is read at the start'
    })
  const self = `${server.project}.${record.name}`
  const planned = await planAddress(server, options, wish, record.profiles, record.devices, self)
  const { config, devices } = addressChange(planned)
  await server.change('PATCH', instancePath(found), { json: { config, devices } })
  return planned
}
