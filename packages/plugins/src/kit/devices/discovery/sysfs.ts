import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Card } from '../card.ts'
import { geometryOf } from '../mig-geometry.ts'

/** A PCI function as the kernel shows it; sysfs-bus-pci of Linux's ABI documentation. */
export interface PciFunction {
  readonly address: string
  /** Four hexadecimal digits. */
  readonly vendor: string
  readonly device: string
  readonly pciClass: string
  readonly numa?: number
  readonly driver?: string
  /** Of SR-IOV. */
  readonly virtualFunctions: readonly string[]
  readonly isVirtual: boolean
  /** Names below /dev/dri. */
  readonly nodes: readonly string[]
  /** Name of an FPGA's shell. */
  readonly shell?: string
  readonly serial?: string
}

/** @param root of a tree with sys/bus/pci/devices in it; / is the machine itself */
export async function scanPci(root = '/'): Promise<PciFunction[]> {
  const dir = join(root, 'sys/bus/pci/devices')
  const names = (await readdir(dir).catch((): string[] => [])).filter((name) =>
    /^[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[0-7]$/.test(name)
  )
  return Promise.all(names.sort().map((address) => readFunction(dir, address)))
}

async function readFunction(dir: string, address: string): Promise<PciFunction> {
  const path = join(dir, address)
  const read = (name: string) =>
    readFile(join(path, name), 'utf8').then(
      (text) => text.trim(),
      () => undefined
    )
  const target = (name: string) => realpath(join(path, name)).then(basename, () => undefined)
  const entries = await readdir(path).catch((): string[] => [])
  const [vendor, device, pciClass, numa, driver] = await Promise.all([
    read('vendor'),
    read('device'),
    read('class'),
    read('numa_node'),
    target('driver')
  ])
  const virtual = entries
    .filter((name) => /^virtfn\d+$/.test(name))
    .sort((a, b) => Number(a.slice(6)) - Number(b.slice(6)))
  const functions = await Promise.all(virtual.map(target))
  const rom = entries.find((name) => /^rom(\.|$)/.test(name) && name !== 'rom')
  const xmc = entries.find((name) => name.startsWith('xmc.'))
  const [shell, serial, nodes] = await Promise.all([
    rom === undefined ? undefined : read(`${rom}/VBNV`),
    xmc === undefined ? undefined : read(`${xmc}/serial_num`),
    readdir(join(path, 'drm')).catch((): string[] => [])
  ])
  const hex = (text: string | undefined) => (text ?? '').replace(/^0x/, '').toLowerCase()
  return {
    address,
    vendor: hex(vendor),
    device: hex(device),
    pciClass: hex(pciClass),
    ...(numa === undefined || Number(numa) < 0 ? {} : { numa: Number(numa) }),
    ...(driver === undefined ? {} : { driver }),
    virtualFunctions: functions.filter((name) => name !== undefined),
    isVirtual: entries.includes('physfn'),
    nodes: nodes.filter((name) => /^(card|renderD)\d+$/.test(name)).sort(),
    ...(shell === undefined ? {} : { shell }),
    ...(serial === undefined ? {} : { serial })
  }
}

const vendors: Readonly<Record<string, string>> = {
  '10de': 'nvidia.com',
  '1002': 'amd.com',
  '8086': 'intel.com'
}
const xilinx = '10ee'
/** VGA, 3D and display controllers, and processing accelerators; not a card's audio function, nor a bridge. */
const gpuClass = /^(03|1200)/

/** GPUs and FPGAs among the functions. What nvidia-smi or xbutil says of the same address is better: see {@link mergeCards}. */
export function sysfsCards(functions: readonly PciFunction[], host: string): Card[] {
  return functions.flatMap((fn): Card[] => {
    const common = {
      host,
      pci: fn.address,
      ...(fn.numa === undefined ? {} : { numa: fn.numa }),
      labels: {},
      paths: fn.nodes.map((name) => `/dev/dri/${name}`)
    }
    if (fn.vendor === xilinx) {
      // The user function of a card with two; the other one belongs to the host.
      if (!fn.address.endsWith('.1')) return []
      const management = functions.find(({ address }) => address === fn.address.replace(/1$/, '0'))
      const render = fn.nodes.find((name) => name.startsWith('renderD'))
      return [
        {
          ...common,
          id: fn.serial ?? management?.serial ?? `${host}/${fn.address}`,
          vendor: 'xilinx.com',
          model: fpgaModel(fn.shell ?? management?.shell),
          sharing: {
            type: 'fpga',
            shell: fn.shell ?? management?.shell ?? 'unknown',
            user: fn.address,
            ...(management ? { management: management.address } : {}),
            ...(render === undefined ? {} : { renderNode: `/dev/dri/${render}` })
          }
        }
      ]
    }
    const vendor = vendors[fn.vendor]
    if (vendor === undefined || !gpuClass.test(fn.pciClass) || fn.isVirtual) return []
    const model = `${vendor.replace('.com', '')} ${fn.device}`
    const geometry = vendor === 'nvidia.com' ? geometryOf({ model, deviceId: fn.device }) : undefined
    return [
      {
        ...common,
        id: `${host}/${fn.address}`,
        vendor,
        model,
        sharing:
          fn.virtualFunctions.length > 0
            ? { type: 'sriov', functions: fn.virtualFunctions.slice(0, 31) }
            : { type: 'whole', ...(geometry ? { geometry: geometry.name } : {}) }
      }
    ]
  })
}

/** `xilinx_u55c_gen3x16_xdma_base_3` is a U55C. */
export const fpgaModel = (shell: string | undefined): string =>
  /_(u\d+\w*?)_/.exec(shell ?? '')?.[1]!.toUpperCase() ?? 'FPGA'

/** Cards of several sources: of one PCI address on one host there is one, as the earlier source says it. */
export function mergeCards(...sources: readonly (readonly Card[])[]): Card[] {
  const found = new Map<string, Card>()
  for (const card of sources.flat()) {
    const key = card.pci === undefined ? card.id : `${card.host} ${card.pci}`
    const before = found.get(key)
    const numa = before?.numa ?? card.numa
    found.set(key, before ? { ...before, ...(numa === undefined ? {} : { numa }) } : card)
  }
  return [...found.values()]
}
