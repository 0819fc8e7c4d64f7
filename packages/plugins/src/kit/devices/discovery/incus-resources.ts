import type { Card } from '../card.ts'
import { geometryOf } from '../mig-geometry.ts'
import { fpgaModel } from './sysfs.ts'

/** What of `GET /1.0/resources` is read; api.Resources of Incus. */
export interface IncusResources {
  readonly gpu?: {
    readonly cards?: readonly {
      readonly pci_address?: string
      readonly vendor_id?: string
      readonly product_id?: string
      readonly vendor?: string
      readonly product?: string
      readonly numa_node?: number
      readonly drm?: { readonly card_name?: string; readonly render_name?: string }
      readonly nvidia?: { readonly uuid?: string; readonly model?: string; readonly card_name?: string }
      readonly sriov?: { readonly vfs?: readonly { readonly pci_address?: string }[] }
      readonly mdev?: Readonly<
        Record<
          string,
          { readonly available?: number; readonly devices?: readonly string[]; readonly name?: string }
        >
      >
    }[]
  }
  readonly pci?: {
    readonly devices?: readonly {
      readonly pci_address?: string
      readonly vendor_id?: string
      readonly product?: string
      readonly numa_node?: number
    }[]
  }
}

const vendors: Readonly<Record<string, string>> = {
  '10de': 'nvidia.com',
  '1002': 'amd.com',
  '8086': 'intel.com'
}

/**
 * The cards of an Incus server. It knows nothing of MIG; what it calls an FPGA is a PCI device of Xilinx, whose second
 * function is the user's.
 * @param host name of the remote
 */
export function incusCards({ gpu, pci }: IncusResources, host: string): Card[] {
  const gpus = (gpu?.cards ?? []).flatMap((found): Card[] => {
    const vendor = vendors[found.vendor_id ?? '']
    const address = found.pci_address
    if (vendor === undefined || !address) return []
    const { uuid, model: ownName } = found.nvidia ?? {}
    const model = ownName ?? found.product ?? `${vendor.replace('.com', '')} ${found.product_id}`
    const geometry =
      vendor === 'nvidia.com' ? geometryOf({ model, deviceId: found.product_id ?? '' }) : undefined
    const functions = (found.sriov?.vfs ?? []).flatMap((vf) => vf.pci_address ?? [])
    const nodes = [found.drm?.card_name, found.drm?.render_name].flatMap((name) =>
      name ? [`/dev/dri/${name}`] : []
    )
    return [
      {
        id: uuid ?? `${host}/${address}`,
        host,
        vendor,
        model,
        pci: address,
        ...(uuid ? { uuid } : {}),
        ...(found.numa_node === undefined ? {} : { numa: found.numa_node }),
        labels: {},
        paths: [...nodes, ...(found.nvidia?.card_name ? [`/dev/${found.nvidia.card_name}`] : [])],
        sharing:
          mdevOf(found.mdev) ??
          (functions.length > 0
            ? { type: 'sriov', functions: functions.slice(0, 31) }
            : { type: 'whole', ...(geometry ? { geometry: geometry.name } : {}) })
      }
    ]
  })
  const fpgas = (pci?.devices ?? []).flatMap(
    ({ pci_address: user, vendor_id: vendor, product, numa_node: numa }): Card[] => {
      if (vendor !== '10ee' || !user?.endsWith('.1')) return []
      return [
        {
          id: `${host}/${user}`,
          host,
          vendor: 'xilinx.com',
          model: fpgaModel(`_${(product ?? '').toLowerCase()}_`),
          pci: user,
          ...(numa === undefined ? {} : { numa }),
          labels: {},
          paths: [],
          sharing: { type: 'fpga', shell: 'unknown', user, management: user.replace(/1$/, '0') }
        }
      ]
    }
  )
  return [...gpus, ...fpgas]
}

/** A card makes vGPUs of one type at a time: the one of which some are there, if any. */
function mdevOf(
  types: NonNullable<NonNullable<IncusResources['gpu']>['cards']>[number]['mdev']
): Card['sharing'] | undefined {
  for (const [typeId, { name, devices = [], available = 0 }] of Object.entries(types ?? {})) {
    const count = Math.min(31, devices.length + available)
    if (devices.length > 0 && count > 0) return { type: 'mdev', typeId, profile: name ?? typeId, count }
  }
  return undefined
}
