import t from 'tap'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { startWay, trustedBy } from './incus-access.ts'
import {
  incusPod,
  instancesOf,
  letGo,
  makeSizedPool,
  sizedPoolMissing,
  startIncusPlugin,
  waiting
} from './incus-plugin.ts'

const fpga = 'xilinx.com/fpga'
const serverOf = (jobId: string) => jobId.split('/')[0]!

void t.test('several servers of Incus behind one plugin', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const labs = await Promise.all([startIncusLab(), startIncusLab()])
  const [near, far] = labs
  t.teardown(() => Promise.all(labs.map((lab) => lab.close())))
  const way = await startWay(t, Number(new URL(far.url).port))
  const data = join(near.dir, 'data')
  await mkdir(data, { mode: 0o755 })
  await writeFile(join(data, 'word'), 'of the data\n')
  const servers = {
    near: { url: near.url, tls: await trustedBy(near, 'near'), location: 'pisa', data: [data] },
    far: { url: way.url, tls: await trustedBy(far, 'far'), location: 'bari', owners: ['physics'] }
  }
  const cards = ['near', 'far'].map((host) => ({
    id: `U55C-${host}`,
    host,
    vendor: 'xilinx.com',
    model: 'Alveo U55C',
    paths: ['/dev/zero'],
    sharing: { type: 'fpga', shell: 'xilinx_u55c_gen3x16_xdma_base_3' },
    ...(host === 'far' ? { owner: 'physics' } : {})
  }))
  const inventory = join(near.dir, 'cards.yaml')
  await writeFile(inventory, JSON.stringify({ cards }))
  const options = { servers, timeoutSeconds: 20 }
  const policy = { hostPaths: [{ path: data, readOnly: true }] }
  const start = (dir?: string) =>
    startIncusPlugin(t, near, dir, options, {
      policy,
      devices: { inventory, policy: {} } as never,
      idleListSeconds: 1
    })
  const { client } = await start()
  const create = async (pod: ReturnType<typeof incusPod>) => serverOf((await client.create(pod)).PodJID)
  const stay = (more: Parameters<typeof incusPod>[1] = {}) =>
    incusPod('echo up; sleep 600', { ...more, spec: { terminationGracePeriodSeconds: 0, ...more.spec } })
  const inNamespace = (namespace: string, pod = stay()) => {
    pod.pod.metadata.namespace = namespace
    return pod
  }
  const end = async (...pods: ReturnType<typeof incusPod>[]) => {
    for (const pod of pods) await client.delete(refOf(pod))
    for (const pod of pods) await eventually(async () => (await statusOf(client, pod)) === undefined)
  }
  const none = () =>
    eventually(async () => (await Promise.all(labs.map(instancesOf))).every(({ length }) => length === 0))
  const resources = async (client: InterlinkClient) => (await client.ping()).parsed?.resources
  const offered = async (client: InterlinkClient) => Number((await resources(client))?.cpu)
  const go = (jobId: string) => {
    const [server, name] = jobId.split('/') as [string, string]
    return letGo(server === 'near' ? near : far, name)
  }

  const both = await eventually(() => offered(client))

  await t.test(
    'pods are spread, and go where they ask, where their data is, where they are at home',
    async (t) => {
      const spread = [stay(), stay()]
      t.same(
        [await create(spread[0]!), await create(spread[1]!)].sort(),
        ['near', 'near'],
        'far has an owner'
      )
      const wish = (value: string) => stay({ annotations: { 'interlink.io/incus-location': value } })
      const wished = [wish('bari'), wish('near')]
      t.same([await create(wished[0]!), await create(wished[1]!)], ['far', 'near'])
      await t.rejects(create(wish('roma')), {
        code: 'PLUGIN_REFUSED',
        message: /incus-location\].*"roma".*expected one of pisa, bari/
      })
      const home = inNamespace('physics')
      t.equal(await create(home), 'far')
      const volume = {
        spec: { volumes: [{ name: 'data', hostPath: { path: data } }] },
        container: { volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }] }
      }
      const reader = inNamespace('physics', incusPod('cat /data/word', volume))
      t.equal(await create(reader), 'near', 'its data is there alone')
      await whenStatus(client, reader, isOver)
      t.equal(await logOf(client, reader), 'of the data\n')
      await t.rejects(
        create(incusPod('true', { ...volume, annotations: { 'interlink.io/incus-location': 'bari' } })),
        { code: 'PLUGIN_REFUSED', message: /is on near alone/ }
      )
      t.same([(await instancesOf(near)).length >= 3, (await instancesOf(far)).length], [true, 2])
      await end(...spread, ...wished, home, reader)
    }
  )

  await t.test('what only one of the servers cannot hold is told with its name', async (t) => {
    if (!requireReal(t, sizedPoolMissing())) return
    await near.run('profile', 'create', 'sized')
    await makeSizedPool(far)
    const { client } = await startIncusPlugin(t, near, undefined, {
      ...options,
      profiles: ['default', 'sized']
    })
    const noticesOf = async (annotations: Record<string, string>) => {
      const pod = stay({ annotations, container: { resources: { limits: { 'ephemeral-storage': '200M' } } } })
      await client.create(pod)
      const { notices = [] } = await whenStatus(client, pod, isRunning)
      await client.delete(refOf(pod))
      return notices.map(({ message }) => message)
    }
    const open =
      'the use of local storage is not limited: the storage pool of the instance cannot hold a size'
    t.same(await noticesOf({}), [`on near: ${open}`])
    t.same(await noticesOf({ 'interlink.io/incus-location': 'near' }), [open])
    t.same(await noticesOf({ 'interlink.io/incus-location': 'far' }), [])
    await none()
  })

  await t.test('devices choose the server: nobody’s before lent ones, and the owner’s own', async (t) => {
    const asking = (namespace: string) =>
      inNamespace(namespace, stay({ container: { resources: { limits: { [fpga]: '1' } } } }))
    const [one, two, three] = [asking('default'), asking('default'), asking('default')]
    t.same([await create(one), await create(two)], ['near', 'far'], 'the lent one last')
    await t.rejects(create(three), { code: 'PLUGIN_DEVICES_BUSY' })
    await end(one, two)
    await eventually(async () => {
      const { accelerators = [] } = (await resources(client)) ?? {}
      return accelerators.some(({ resourceType, free }) => resourceType === fpga && free === '2')
    })
    t.equal(await create(three), 'near')
    const mine = asking('physics')
    t.equal(await create(mine), 'far')
    await end(three, mine)
  })

  await t.test('a server that is away takes its own share along and nothing else', async (t) => {
    const here = stay({ annotations: { 'interlink.io/incus-location': 'near' } })
    const script = `${waiting}; i=0; while [ $i -lt 150 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done; exit 3`
    const there = incusPod(script, { annotations: { 'interlink.io/incus-location': 'far' } })
    await client.create(here)
    const { PodJID } = await client.create(there)
    for (const pod of [here, there]) await whenStatus(client, pod, isRunning)
    await go(PodJID)
    way.cut()
    await eventually(async () => (await offered(client)) === both / 2)
    const { notices } = await whenStatus(client, there, ({ notices }) => notices?.length)
    t.match(notices, [{ reason: 'ServerAway', message: /^server far cannot be reached/ }])
    t.ok(isRunning((await statusOf(client, there))!), 'nobody knows better')
    const home = inNamespace('physics', incusPod('echo elsewhere'))
    t.equal(await create(home), 'near', 'the owner goes where there is room')
    await whenStatus(client, home, isOver)
    t.equal(await logOf(client, home), 'elsewhere\n')
    const held = stay({ annotations: { 'interlink.io/incus-location': 'far' } })
    await t.rejects(create(held), {
      code: 'PLUGIN_BACKEND_FAILED',
      message: /no server can be reached: far: /
    })
    await end(here)
    // Longer than a job that is silent and unknown is waited for.
    await new Promise((resolve) => setTimeout(resolve, 5000))
    await way.restore()
    const { containers, reason } = await whenStatus(client, there, isOver)
    t.equal(reason, undefined)
    t.equal(containers[0]!.state!.terminated!.exitCode, 3)
    t.equal(await logOf(client, there), Array.from({ length: 150 }, (_, index) => `line ${index}\n`).join(''))
    await eventually(async () => (await offered(client)) === both)
    t.equal(await create(held), 'far')
    await end(held, home, there)
  })

  await t.test('a plugin that comes back finds its pods on every server', async (t) => {
    const dir = join(near.dir, 'again')
    const alone = { ...options }
    const run = () => startIncusPlugin(t, near, dir, alone)
    const first = await run()
    const pods = ['near', 'far'].map((where) =>
      incusPod(`${waiting}; echo done`, { annotations: { 'interlink.io/incus-location': where } })
    )
    const ids: string[] = []
    for (const pod of pods) ids.push((await first.client.create(pod)).PodJID)
    for (const pod of pods) await whenStatus(first.client, pod, isRunning)
    await first.close()
    for (const id of ids) await go(id)
    const second = await run()
    for (const pod of pods) {
      await whenStatus(second.client, pod, isOver)
      t.equal(await logOf(second.client, pod), 'done\n')
    }
    await none()
  })

  await t.test('namespaces have projects of their own, on one server or several', async (t) => {
    for (const name of ['red', 'blue'])
      await near.run(
        'project',
        'create',
        name,
        '-c',
        'features.images=false',
        '-c',
        'features.profiles=false'
      )
    const own = (name: string) => ({ ...servers.near, project: name, namespaces: [name] })
    const site = await startIncusPlugin(t, near, undefined, {
      servers: { red: own('red'), blue: own('blue') }
    })
    const pods = ['red', 'blue'].map((name) => inNamespace(name))
    for (const pod of pods) await site.client.create(pod)
    for (const name of ['red', 'blue'])
      t.match(await near.run('list', '--project', name, '-f', 'csv', '-c', 'n'), /^p-\w+\n$/)
    await t.rejects(site.client.create(inNamespace('green')), {
      code: 'PLUGIN_REFUSED',
      message: /metadata\.namespace.*no server takes pods of green/
    })
    for (const pod of pods) await site.client.delete(refOf(pod))
    await eventually(async () => (await near.run('list', '--project', 'red', '-f', 'csv')) === '')
  })

  t.test('a card of a server that is none is refused at the start', async (t) => {
    const wrong = join(near.dir, 'wrong.yaml')
    await writeFile(wrong, JSON.stringify({ cards: [{ ...cards[0], host: 'nowhere' }] }))
    const devices = { inventory: wrong, policy: {} } as never
    await t.rejects(startIncusPlugin(t, near, undefined, options, { devices }), {
      code: 'IL_CONFIG',
      message: /cards\[0\].*"nowhere", which is none of options\.servers; expected one of near, far/
    })
  })
})
