import t from 'tap'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Value } from 'typebox/value'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { IncusOptions } from '@interlink-ts/plugins/incus'
import { instanceRequest } from '../../packages/plugins/src/incus/instance.ts'
import { IncusConnection } from '../../packages/plugins/src/incus/rest/incus-connection.ts'
import { compile } from '../../packages/plugins/src/kit/plan/compile.ts'
import { defaultSitePolicy } from '../../packages/plugins/src/kit/plan/policy.ts'
import { eventually } from '../support/eventually.ts'
import { runInterlink } from '../support/interlink.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, startIncusPlugin } from './incus-plugin.ts'
import { startMachineDouble } from './machine-double.ts'

const vm = { 'interlink.io/incus-type': 'vm' }
type More = NonNullable<Parameters<typeof incusPod>[1]>
const machine = (script: string, more: More = {}) =>
  incusPod(script, { ...more, annotations: { ...vm, ...more.annotations } })

void t.test('pods that ask for a virtual machine', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const left = async () =>
    [
      ...(await instancesOf(lab)),
      ...(
        JSON.parse(await lab.run('query', '/1.0/storage-pools/default/volumes?recursion=1')) as {
          type: string
          name: string
        }[]
      )
        .filter(({ type }) => type !== 'image')
        .map(({ name }) => name)
    ].sort()
  const gone = () => eventually(async () => (await left()).length === 0, { deadlineMs: 120_000 })
  await importMachineImage()
  await publishGuest()

  await t.test('where the server runs none, it says why, and nothing is left of the try', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    await t.rejects(client.create(machine('true')), {
      code: 'PLUGIN_REFUSED',
      message:
        /annotations\[interlink\.io\/incus-type\].*\(vhost_vsock kernel module not loaded\); say container/
    })
    t.same(await left(), [])
    // One that says that it does, and does not: the words are those of POST /1.0/instances.
    const { url } = await startMachineDouble(t, lab, false)
    const { client: other } = await startIncusPlugin(t, lab, undefined, { url })
    await t.rejects(other.create(machine('true', { container: { image: 'machine' } })), {
      code: 'PLUGIN_BACKEND_REFUSED',
      message: /Instance type "virtual-machine" is not supported on this server: vhost_vsock/
    })
    t.same(await left(), [])
  })

  await t.test(
    'what is asked of Incus for one, it takes: each key of a machine, and each device',
    async (t) => {
      const { configs } = JSON.parse(await lab.run('query', '/1.0/metadata/configuration')) as {
        configs: { instance: Record<string, { keys: Record<string, { condition?: string }>[] }> }
      }
      const documented = Object.assign(
        {},
        ...Object.values(configs.instance).flatMap(({ keys }) => keys)
      ) as Record<string, { condition?: string }>
      const incus = new IncusConnection({ url: `unix://${lab.socket}` })
      t.teardown(() => incus.close())
      const request = machineRequest()
      const ofContainers = Object.keys(request.config).filter((key) => {
        if (key.startsWith('user.')) return false
        t.ok(documented[key], `${key} is documented`)
        return documented[key]?.condition?.includes('container')
      })
      t.same(ofContainers, [])
      const { config, devices } = request
      const post = (name: string, json: object) =>
        incus.change('POST', '/1.0/profiles', { json: { name, ...json } })
      await post('rendered', { config, devices })
      t.equal(Object.keys(devices).length, 5)
      await t.rejects(post('a', { config: { ...config, 'security.secureboot': 'maybe' } }), /boolean/)
      for (const [name, device] of Object.entries(devices)) {
        const key = ['mdev', 'pci', 'address', 'source'].find((one) => device[one] !== undefined)!
        await t.rejects(
          post('b', { devices: { [name]: { ...device, [key]: /^(mdev|source)$/.test(key) ? '' : 'none' } } }),
          name
        )
      }
      await lab.run('profile', 'delete', 'rendered')
      const whole = { ...request, source: { type: 'image', alias: 'machine' }, devices: {} }
      await t.rejects(
        incus.change('POST', '/1.0/instances', { json: whole }),
        /Instance type "virtual-machine" is not supported on this server/
      )
      t.same(await left(), [])
    }
  )

  await t.test('what it would be is shown, and why not here', async (t) => {
    const file = join(lab.dir, 'pod.json')
    const { metadata, spec } = machine('true', { container: { resources: { limits: { cpu: '2' } } } }).pod
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec }))
    const shown = async (url: string) => {
      const config = join(lab.dir, 'render.json')
      await writeFile(config, JSON.stringify({ listen: 'unix:///tmp/none', options: { url } }))
      return runInterlink(['render', file, '--backend', 'incus', '--config', config])
    }
    const { url } = await startMachineDouble(t, lab, false)
    const there = await shown(url)
    t.match(there.stdout, /POST \/1\.0\/instances\n[^]*"type": "virtual-machine"[^]*"limits\.cpu": "2"/)
    t.match(there.stdout, /MachineOfUsualSize/)
    const here = await shown(`unix://${lab.socket}`)
    t.equal(here.code, 1)
    t.match(here.stderr, /would refuse it: .*incus-type\].*vhost_vsock kernel module not loaded/)
  })

  await t.test('its agent is waited for, and then the job is begun once, by whichever plugin', async (t) => {
    const double = await startMachineDouble(t, lab)
    const options = { url: double.url }
    const first = await startIncusPlugin(t, lab, undefined, options)
    const script =
      'cat /run/cloud-init.done; echo "in $WORD" >/scratch/word; cat /scratch/word; sleep 2; exit 3'
    const pod = machine(script, {
      annotations: {
        'interlink.io/incus-cloud-init': '#cloud-config\n',
        'interlink.io/incus-secure-boot': 'false'
      },
      spec: { volumes: [{ name: 'scratch', emptyDir: { medium: 'Memory' } }] },
      container: {
        image: 'guest',
        volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
        env: [{ name: 'WORD', value: 'a machine' }],
        resources: { limits: { cpu: '1', memory: '64Mi' } }
      }
    })
    const { PodJID } = await first.client.create(pod)
    const { containers } = await whenStatus(first.client, pod, ({ containers }) =>
      containers[0]?.state?.waiting?.message?.includes('agent')
    )
    t.match(containers[0]!.state!.waiting, { message: /boots: its agent does not answer yet/ })
    const [{ config }] = JSON.parse(await lab.run('list', PodJID, '--format=json')) as [
      { config: Record<string, string> }
    ]
    t.match(config, { 'limits.memory': '576MiB', 'cloud-init.user-data': '#cloud-config\n' })
    t.notOk(config['raw.lxc'], 'the image boots its own system')
    await first.close()
    const second = await startIncusPlugin(t, lab, join(first.root, '..'), options)
    double.agents = true
    await whenStatus(second.client, pod, isRunning)
    await second.close()
    const third = await startIncusPlugin(t, lab, join(first.root, '..'), options)
    const over = await whenStatus(third.client, pod, isOver)
    t.match(over.containers[0]!.state!.terminated, { exitCode: 3, reason: 'Error' })
    t.equal(await logOf(third.client, pod), 'by cloud-init\nin a machine\n')
    await gone()
    t.match(double.changes, [{ action: 'start' }, { action: 'stop', force: false, timeout: 30 }])
  })

  await t.test(
    'of several servers, one that runs them is chosen, and a refusal says which could',
    async (t) => {
      await lab.run(
        'project',
        'create',
        'far',
        '-c',
        'features.images=false',
        '-c',
        'features.profiles=false'
      )
      const double = await startMachineDouble(t, lab)
      double.agents = true
      const near = { url: `unix://${lab.socket}`, location: 'pisa' }
      const servers = { near, far: { url: double.url, location: 'bari', project: 'far' } }
      const { client } = await startIncusPlugin(t, lab, undefined, { servers })
      const there = (value: string) => ({ annotations: { 'interlink.io/incus-location': value } })
      await t.rejects(client.create(machine('true', there('pisa'))), {
        code: 'PLUGIN_REFUSED',
        message:
          /incus-type\].*\(near: vhost_vsock kernel module not loaded\); far could: let the pod go there/
      })
      t.same(await left(), [])
      const stay = { spec: { terminationGracePeriodSeconds: 0 } }
      const pods = [machine('sleep 600', stay), incusPod('sleep 600', { ...stay, ...there('near') })]
      const ids = await Promise.all(pods.map(async (pod) => (await client.create(pod)).PodJID.split('/')[0]))
      t.same(ids, ['far', 'near'])
      for (const pod of pods) await whenStatus(client, pod, isRunning)
      for (const pod of pods) await client.delete(refOf(pod))
      await gone()
      await eventually(async () => (await lab.run('list', '--project', 'far', '-f', 'csv')) === '', {
        deadlineMs: 90_000
      })
    }
  )

  await t.test('a pod is ended by TERM and its grace, and the machine shuts down', async (t) => {
    const double = await startMachineDouble(t, lab)
    double.agents = true
    const { client } = await startIncusPlugin(t, lab, undefined, { url: double.url })
    const pod = machine('trap "echo asked; exit 7" TERM; echo up; while :; do sleep 0.1; done')
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(async () => (await logOf(client, pod)) === 'up\n')
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined, { deadlineMs: 90_000 })
    await gone()
    t.match(double.changes.at(-1), { action: 'stop', force: false })
  })

  await t.test('one that is deleted while it boots is gone; one that never gets ready fails', async (t) => {
    const double = await startMachineDouble(t, lab)
    const { client } = await startIncusPlugin(t, lab, undefined, { url: double.url, bootSeconds: 5 })
    const [given, late] = [machine('true'), machine('true')]
    for (const pod of [given, late]) await client.create(pod)
    await whenStatus(client, given, ({ containers }) =>
      containers[0]?.state?.waiting?.message?.includes('agent')
    )
    await client.delete(refOf(given))
    await eventually(async () => (await statusOf(client, given)) === undefined)
    const over = await whenStatus(client, late, isOver, 90_000)
    t.match(over, {
      reason: 'MachineNotReady',
      message: /within \d+ seconds \(options\.bootSeconds\).*incus-agent/
    })
    await gone()
    double.agents = true
    const lacking = machine('true', { annotations: { 'interlink.io/incus-cloud-init': '#cloud-config\n' } })
    // A machine has its time for what it says of itself.
    const patient = await startIncusPlugin(t, lab, undefined, { url: double.url })
    await patient.client.create(lacking)
    t.match(await whenStatus(patient.client, lacking, isOver, 90_000), {
      reason: 'MachineNotReady',
      message: /its image has no cloud-init/
    })
    await gone()
  })

  await t.test('one that shuts itself down is lost, and disturbs no other', async (t) => {
    const double = await startMachineDouble(t, lab)
    double.agents = true
    const { client } = await startIncusPlugin(t, lab, undefined, { url: double.url })
    const [one, other] = [machine('sleep 600'), machine('sleep 4; echo done')]
    const { PodJID } = await client.create(one)
    await client.create(other)
    for (const pod of [one, other]) await whenStatus(client, pod, isRunning)
    await lab.run('stop', '--force', PodJID)
    t.match(await whenStatus(client, one, isOver, 90_000), { reason: 'NodeLost' })
    await whenStatus(client, other, isOver)
    t.equal(await logOf(client, other), 'done\n')
    await gone()
  })

  /** With everything that a pod can ask of a machine. */
  function machineRequest() {
    const limits = { cpu: '1500m', memory: '1Gi' }
    const asked = machine('true', {
      annotations: {
        'interlink.io/incus-cloud-init': '#cloud-config\n',
        'interlink.io/incus-secure-boot': 'false'
      },
      spec: { volumes: [{ name: 'data', hostPath: { path: lab.dir } }] },
      container: {
        resources: { limits },
        volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }]
      }
    })
    const compiled = compile(asked, { ...defaultSitePolicy, hostPaths: [{ path: lab.dir, readOnly: true }] })
    if ('refusals' in compiled) throw new Error(JSON.stringify(compiled.refusals))
    const common = { resource: 'nvidia.com/gpu', paths: [], host: 'local', start: 0 }
    const devices = [
      { ...common, card: 'whole', sharing: 'whole', pci: '0000:3b:00.0' },
      { ...common, card: 'mdev', sharing: 'mdev', pci: '0000:3c:00.0', mdevType: 'nvidia-63' },
      { ...common, card: 'sriov', sharing: 'sriov', pci: '0000:3d:00.4' },
      { ...common, card: 'fpga', sharing: 'fpga', pci: '0000:3e:00.1' }
    ]
    const { plan } = compiled
    const containers = plan.containers.map((container) => ({ ...container, devices }))
    const options = Value.Parse(IncusOptions, Value.Default(IncusOptions, {}))
    return instanceRequest({ ...plan, containers }, 'mark', options) as {
      config: Record<string, string>
      devices: Record<string, Record<string, string>>
    }
  }

  /** Of the type of a virtual machine; its disk is none. */
  async function importMachineImage() {
    const dir = join(lab.dir, 'machine')
    await mkdir(dir)
    const file = join(lab.dir, 'machine.tar.gz')
    await writeFile(join(dir, 'metadata.yaml'), 'architecture: x86_64\ncreation_date: 1\nproperties: {}\n')
    await writeFile(join(dir, 'rootfs.img'), 'none')
    execFileSync('tar', ['-C', dir, '-czf', file, 'metadata.yaml', 'rootfs.img'])
    await lab.run('image', 'import', file, '--alias', 'machine')
  }

  /** The image of the lab, with a cloud-init that takes its time. */
  async function publishGuest() {
    const program = join(lab.dir, 'cloud-init')
    await writeFile(
      program,
      '#!/bin/sh\n[ "$*" = "status --wait" ] && sleep 1 && echo by cloud-init >/run/cloud-init.done\n'
    )
    await chmod(program, 0o755)
    await lab.run('init', 'busybox', 'guest')
    await lab.run('file', 'push', program, 'guest/usr/bin/cloud-init')
    await lab.run('publish', 'guest', '--alias', 'guest')
    await lab.run('delete', 'guest')
  }
})
