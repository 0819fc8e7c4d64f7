import t from 'tap'
import { serversFor } from '../src/incus/choose-server.ts'
import { firstProgram } from '../src/incus/first-program.ts'
import { formOf } from '../src/incus/form-of.ts'
import { instanceRequest } from '../src/incus/instance.ts'
import { refuseDevices } from '../src/incus/instance-devices.ts'
import { IncusOptions } from '../src/incus/options.ts'
import { readWishes } from '../src/incus/pod-wishes.ts'
import type { Plan, PlannedDevice } from '../src/kit/plan/plan.ts'
import { Value } from 'typebox/value'
import { planOf, type Given } from './support-plan.ts'

const options = Value.Parse(
  IncusOptions,
  Value.Default(IncusOptions, { remotes: { hub: { url: 'https://hub.example.org', protocol: 'oci' } } })
)
const vm = { 'interlink.io/incus-type': 'vm' }
const machineOf = (given: Given = {}): Plan =>
  planOf({ ...given, annotations: { ...vm, ...given.annotations } })
const withDevices = (plan: Plan, ...devices: readonly PlannedDevice[]): Plan => ({
  ...plan,
  containers: plan.containers.map((container) => ({ ...container, devices }))
})
interface Request {
  readonly type: string
  readonly config: Readonly<Record<string, string>>
  readonly devices: Readonly<Record<string, Readonly<Record<string, string>>>>
}
const requestOf = (plan: Plan) => instanceRequest(plan, 'mark', options) as Request
const ownConfig = (plan: Plan) =>
  Object.fromEntries(Object.entries(requestOf(plan).config).filter(([key]) => !/^(user|boot)\./.test(key)))
const device = (more: Partial<PlannedDevice>): PlannedDevice => ({
  resource: 'nvidia.com/gpu',
  paths: ['/dev/nvidia0'],
  card: 'GPU-1',
  host: 'local',
  sharing: 'whole',
  start: 0,
  pci: '0000:3b:00.0',
  ...more
})
const refusalOf = (plan: Plan) => refuseDevices(plan, formOf(plan)).map(({ message }) => message)

t.test('a virtual machine has whole processors, and memory for its own system', (t) => {
  const plan = machineOf({ container: { resources: { limits: { cpu: '1500m', memory: '1Gi' } } } })
  const { type } = requestOf(plan)
  t.equal(type, 'virtual-machine')
  t.same(ownConfig(plan), { 'limits.cpu': '2', 'limits.memory': '1536MiB' }, 'and nothing of containers')
  t.match(formOf(plan).notices(plan), [{ reason: 'WholeProcessors', message: /1500m of cpu are 2$/ }])
  const asked = machineOf({ container: { resources: { requests: { cpu: '3', memory: '100M' } } } })
  t.same(ownConfig(asked), { 'limits.cpu': '3', 'limits.memory': '608MiB' }, 'what is requested is there')
  const none = machineOf()
  t.same(ownConfig(none), {})
  t.match(formOf(none).notices(none), [{ reason: 'MachineOfUsualSize', message: /cpu and memory/ }])
  t.end()
})

t.test('a container is what it was', (t) => {
  const plan = planOf({ container: { resources: { limits: { cpu: '1500m', memory: '1Gi' } } } })
  t.equal(requestOf(plan).type, 'container')
  t.same(ownConfig(plan), {
    'raw.lxc': `lxc.init.cmd = ${firstProgram}`,
    'limits.cpu': '2',
    'limits.cpu.allowance': '150ms/100ms',
    'limits.memory': `${1024 ** 3 + 128 * 1024 ** 2}B`
  })
  t.end()
})

t.test('secure boot and user data of cloud-init are as the pod asks', (t) => {
  const userData = '#cloud-config\npackages: [git]\n'
  const plan = machineOf({
    annotations: { 'interlink.io/incus-secure-boot': 'false', 'interlink.io/incus-cloud-init': userData }
  })
  t.same(ownConfig(plan), { 'security.secureboot': 'false', 'cloud-init.user-data': userData })
  const wrong = (annotations: Record<string, string>) =>
    readWishes(planOf({ annotations }), options).refusals.map(({ field, message }) => `${field} ${message}`)
  t.match(wrong({ 'interlink.io/incus-type': 'machine' }), [/incus-type\] .*expected one of container, vm/])
  t.match(wrong({ ...vm, 'interlink.io/incus-secure-boot': 'no' }), [/secure-boot\] "no" is neither/])
  t.match(wrong({ ...vm, 'interlink.io/incus-cloud-init': 'packages: []' }), [/cloud-init\] is no user data/])
  const container = planOf({ annotations: { 'interlink.io/incus-secure-boot': 'false' } })
  t.match(formOf(container).refusals(container, options), [
    { field: 'metadata.annotations[interlink.io/incus-secure-boot]', message: /add .*incus-type: vm/ }
  ])
  t.end()
})

t.test('each kind of card that a virtual machine can have is given by its address', (t) => {
  const given = (...devices: Parameters<typeof device>[0][]) =>
    Object.values(requestOf(withDevices(machineOf(), ...devices.map(device))).devices)
  t.same(given({}), [{ type: 'gpu', gputype: 'physical', pci: '0000:3b:00.0' }], 'and no node')
  const mdev = { sharing: 'mdev', mdevType: 'nvidia-63' }
  const part = { type: 'gpu', gputype: 'mdev', pci: '0000:3b:00.0', mdev: 'nvidia-63' }
  t.same(given(mdev, { ...mdev, start: 1 }), [part, part], 'each is made for itself')
  t.same(given({ sharing: 'sriov', pci: '0000:3b:00.4' }), [{ type: 'pci', address: '0000:3b:00.4' }])
  const board = { resource: 'xilinx.com/fpga', card: 'U55C', sharing: 'fpga', pci: '0000:5e:00.1' }
  t.same(given(board, { ...board, start: 1 }), [{ type: 'pci', address: '0000:5e:00.1' }], 'once')
  t.end()
})

t.test('a card that a virtual machine cannot have is refused by field, with the fix', (t) => {
  const { pci: _, ...nowhere } = device({})
  for (const [given, message] of [
    [device({ sharing: 'mig' }), /GPU-1 \(mig\) can be given to a container only: .*incus-type: container/],
    [device({ sharing: 'timeslice' }), /container only/],
    [nowhere, /GPU-1 has no PCI address.*`pci` to the card/],
    [device({ sharing: 'mdev' }), /`sharing\.typeId`/]
  ] as const)
    t.match(refuseDevices(withDevices(machineOf(), given), formOf(machineOf())), [
      { field: 'spec.containers[0].resources.limits', message }
    ])
  t.match(refusalOf(withDevices(planOf({}), device({ sharing: 'mdev' }))), [/incus-type: vm/])
  const plan = machineOf({ container: { image: 'hub:library/python' } })
  t.match(formOf(plan).refusals(plan, options), [
    { field: 'spec.containers[0].image', message: /registries/ }
  ])
  t.end()
})

t.test('a directory of the server is read-only for an instance that may not write it', (t) => {
  const shown = (readOnly: boolean, annotations = {}) =>
    requestOf(
      planOf({
        annotations,
        policy: { hostPaths: [{ path: '/data', readOnly: false }] },
        spec: { volumes: [{ name: 'data', hostPath: { path: '/data' } }] },
        container: { volumeMounts: [{ name: 'data', mountPath: '/in', readOnly }] }
      })
    ).devices['volume-data']
  const disk = { type: 'disk', source: '/data', path: '/.interlink-host/data' }
  t.same(shown(true), { ...disk, shift: 'true', readonly: 'true' })
  t.same(shown(false), { ...disk, shift: 'true' })
  t.same(shown(true, vm), { ...disk, readonly: 'true' })
  t.end()
})

t.test('a virtual machine goes to servers that run them, and a refusal says which could', (t) => {
  const server = (location: string) => ({ url: 'https://a:8443', location, owners: [], data: [] })
  const servers = { near: server('pisa'), far: server('bari') }
  const why = new Map([['near', 'vhost_vsock kernel module not loaded']])
  t.same(serversFor(machineOf(), servers, why), { names: ['far'] })
  t.same(serversFor(planOf({}), servers, why), { names: ['near', 'far'] }, 'containers go anywhere')
  const there = machineOf({ annotations: { 'interlink.io/incus-location': 'pisa' } })
  t.match(serversFor(there, servers, why), {
    refusals: [
      {
        field: 'metadata.annotations[interlink.io/incus-type]',
        message: /near: vhost_vsock kernel module not loaded.*far could/
      }
    ]
  })
  const all = new Map([...why, ['far', 'no qemu']])
  t.match(serversFor(machineOf(), servers, all), { refusals: [{ message: /far: no qemu\); say container/ }] })
  t.end()
})
