import { containerPaths } from '../kit/plan/context.ts'
import type { Plan, PlannedDevice } from '../kit/plan/plan.ts'
import type { InstanceForm, Options } from './instance-form.ts'
import { limitsOf } from './instance-limits.ts'
import { ociImage } from './oci-image.ts'
import { cloudInitName, secureBootName } from './pod-wishes.ts'

const MiB = 1024 * 1024

/** For the kernel and the services of the machine, above what the containers may use: bytes. */
const headroom = 512 * MiB

/** What Incus gives a machine that says nothing; `limits.cpu` and `limits.memory` of its documentation. */
const usual = '1 processor and 1 GiB of memory'

/** A virtual machine that boots the image's own system; its agent starts the supervisor. */
export const machineForm: InstanceForm = {
  type: 'virtual-machine',
  startedBy: 'agent',
  isDiskHeldByDir: true,

  config(plan) {
    const { annotations } = plan.pod
    const { processors, memoryMiB } = sizeOf(plan)
    return {
      ...(processors === undefined ? {} : { 'limits.cpu': String(processors) }),
      ...(memoryMiB === undefined ? {} : { 'limits.memory': `${memoryMiB}MiB` }),
      ...wish(annotations[secureBootName], 'security.secureboot'),
      ...wish(annotations[cloudInitName], 'cloud-init.user-data')
    }
  },

  devices({ sharing, pci, mdevType }) {
    if (sharing === 'mdev') return [{ type: 'gpu', gputype: 'mdev', pci: pci!, mdev: mdevType! }]
    // Of a card that is cut, `gpu` would take any function of it that is free: this is the one that was lent.
    if (sharing === 'sriov' || sharing === 'fpga') return [{ type: 'pci', address: pci! }]
    return [{ type: 'gpu', gputype: 'physical', pci: pci! }]
  },

  hostPath: (source, path) => ({ type: 'disk', source, path }),

  refuseDevice,

  refusals: (plan, { remotes }) =>
    containerPaths(plan.containers).flatMap((field, index) => {
      const { image } = plan.containers[index]!
      const oci = ociImage(image, remotes)
      return oci
        ? [
            {
              field: `${field}.image`,
              message: `images of registries, such as those of ${oci.server}, boot no virtual machine; name an image of the type virtual-machine`
            }
          ]
        : []
    }),

  notices(plan) {
    const { cpuMillis = plan.resources.cpuMillis } = limitsOf(plan)
    const { processors, memoryMiB } = sizeOf(plan)
    const open = [
      ...(processors === undefined ? ['cpu'] : []),
      ...(memoryMiB === undefined ? ['memory'] : [])
    ].join(' and ')
    return [
      ...(processors !== undefined && cpuMillis % 1000 !== 0
        ? [
            {
              reason: 'WholeProcessors',
              message: `a virtual machine has whole processors: ${cpuMillis}m of cpu are ${processors}`
            }
          ]
        : []),
      ...(open === ''
        ? []
        : [
            {
              reason: 'MachineOfUsualSize',
              message: `the pod neither limits nor requests ${open}: without a profile that says more, its virtual machine has what Incus gives (${usual})`
            }
          ])
    ]
  }
}

function refuseDevice({ card, sharing, pci, mdevType }: PlannedDevice): string | undefined {
  if (sharing === 'mig' || sharing === 'timeslice')
    return `${card} (${sharing}) can be given to a container only: say interlink.io/incus-type: container, or ask for a card that is whole or cut by mdev or SR-IOV`
  if (pci === undefined)
    return `${card} has no PCI address, by which virtual machines are given devices; the site adds ${sharing === 'fpga' ? '`sharing.user`' : '`pci`'} to the card`
  if (sharing === 'mdev' && mdevType === undefined)
    return `${card} says no type of mediated device; the site adds \`sharing.typeId\` to the card`
  return undefined
}

/** By the limits where every container has one, else by what is requested; whole processors and MiB. */
function sizeOf(plan: Plan): { processors?: number; memoryMiB?: number } {
  const { resources } = plan
  const { cpuMillis = resources.cpuMillis, memoryBytes = resources.memoryBytes } = limitsOf(plan)
  return {
    ...(cpuMillis === 0 ? {} : { processors: Math.ceil(cpuMillis / 1000) }),
    ...(memoryBytes === 0 ? {} : { memoryMiB: Math.ceil((memoryBytes + headroom) / MiB) })
  }
}

const wish = (value: string | undefined, key: string): Options =>
  value === undefined ? {} : { [key]: value }
