import type { Plan, PlannedDevice } from '../kit/plan/plan.ts'
import { annotationField } from '../kit/plan/annotations.ts'
import { firstProgram, jobPath } from './first-program.ts'
import { lentTo } from './instance-devices.ts'
import type { FormOptions, InstanceForm, Options } from './instance-form.ts'
import { limitsOf } from './instance-limits.ts'
import { ociImage } from './oci-image.ts'
import { machineNames } from './pod-wishes.ts'

const TERM = '15'
/** The first process of an OCI image's instance is one of Incus'. */
const signalInit = 'read -r pid <"$0/init.pid" || pid=1; kill -s "$1" "$pid"'

/**
 * Above what the containers may use: the supervisor ends one that takes more than its own limit, and says so, where the
 * kernel would end any process of the instance without a word.
 */
const headroom = 128 * 1024 * 1024

/** An unprivileged system container, whose init is the supervisor. */
export const containerForm: InstanceForm = {
  type: 'container',
  startedBy: 'init',
  wake: ['/bin/sh', '-c', signalInit, jobPath, TERM],
  isDiskHeldByDir: false,

  config: (plan, options) => ({
    // An OCI image says itself what is run; it is made to run the job once it has said so.
    ...(ociImage(plan.containers[0]!.image, options.remotes)
      ? {}
      : { 'raw.lxc': `lxc.init.cmd = ${firstProgram}` }),
    ...limits(plan),
    ...driver(plan, options)
  }),

  devices({ sharing, pci, uuid, paths }) {
    if (sharing === 'fpga' || pci === undefined) return paths.map(node)
    const gpu: Options =
      sharing === 'mig'
        ? { type: 'gpu', gputype: 'mig', pci, 'mig.uuid': uuid! }
        : { type: 'gpu', gputype: 'physical', pci }
    return [gpu, ...paths.filter((path) => !ofGpu.test(path)).map(node)]
  },

  hostPath: (source, path) => ({ type: 'disk', source, path, shift: 'true' }),

  refuseDevice: ({ card, sharing, paths }: PlannedDevice) =>
    sharing === 'mdev' || sharing === 'sriov' || (sharing === 'fpga' && paths.length === 0)
      ? `${card} (${sharing}) can be given to a virtual machine only: ask for one (interlink.io/incus-type: vm); a container needs \`paths\` of an FPGA, or a card that is whole or cut by MIG`
      : undefined,

  refusals: ({ pod }) =>
    machineNames
      .filter((name) => Object.hasOwn(pod.annotations, name))
      .map((name) => ({
        field: annotationField(name),
        message: 'is for virtual machines; add interlink.io/incus-type: vm, or remove it'
      })),

  notices: () => []
}

function limits(plan: Plan): Options {
  const { cpuMillis, memoryBytes } = limitsOf(plan)
  return {
    ...(cpuMillis === undefined
      ? {}
      : {
          // What a quota of the project counts.
          'limits.cpu': String(Math.max(1, Math.ceil(cpuMillis / 1000))),
          // A hundredth of a core is the least that a period of 100 ms tells apart.
          'limits.cpu.allowance': `${Math.max(1, Math.ceil(cpuMillis / 10))}ms/100ms`
        }),
    ...(memoryBytes === undefined ? {} : { 'limits.memory': `${memoryBytes + headroom}B` })
  }
}

/** The libraries of NVIDIA's driver, which are the server's. */
const driver = (plan: Plan, { nvidiaRuntime }: FormOptions): Options =>
  lentTo(plan).some(
    ({ resource, sharing, pci }) =>
      resource.startsWith('nvidia.com/') && pci !== undefined && (nvidiaRuntime || sharing === 'mig')
  )
    ? { 'nvidia.runtime': 'true' }
    : {}

/** Nodes that Incus gives by itself with a `gpu`. */
const ofGpu = /^\/dev\/(dri\/|nvidia)/

/** Access is by being given it; who runs in the instance is nobody outside. */
const node = (path: string): Options => ({ type: 'unix-char', source: path, path, mode: '0666' })
