import t, { type Test } from 'tap'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { eachCluster, type TestCluster } from '../support/clusters.ts'
import { eventually } from '../support/eventually.ts'

interface Node {
  metadata: { uid: string; labels: Record<string, string>; annotations: Record<string, string> }
  spec: {
    taints: { key: string; effect: string; value?: string }[]
    unschedulable?: boolean
    podCIDR?: string
  }
  status: {
    capacity: Record<string, string>
    allocatable: Record<string, string>
    conditions: {
      type: string
      status: string
      reason: string
      message: string
      lastTransitionTime: string
    }[]
    addresses: { type: string; address: string }[]
    nodeInfo: Record<string, string>
    daemonEndpoints: { kubeletEndpoint: { Port: number } }
  }
}

/** An API server whose ping the test decides; it knows no pods. */
async function startBackend() {
  const state: { ping: object | undefined; pings: number } = { ping: { status: 'ok' }, pings: 0 }
  const server = createServer((request, answer) => {
    request.resume().on('end', () => {
      if (request.url !== '/pinglink') return answer.end('[]')
      state.pings++
      if (!state.ping) return answer.writeHead(503).end('the scheduler is down')
      answer.end(JSON.stringify(state.ping))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    state,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}

async function start(t: Test, cluster: TestCluster, file: object, stateDirectory: string) {
  const config = await loadVkConfig({
    env: { POD_IP: '127.0.0.1' },
    overrides: { kubeconfig: cluster.kubeconfigPath, stateDirectory, page: false, ...file }
  })
  const running = await startVirtualNodes(config, { log: pino({ level: 'silent' }) })
  let closed = false
  const close = async () => {
    if (!closed) await running.close()
    closed = true
  }
  t.teardown(close)
  return { ...running, close }
}

eachCluster(t, async (t, cluster) => {
  const backend = await startBackend()
  t.teardown(backend.close)
  const dir = t.testdir()
  const run = async (...args: string[]) => {
    const result = await cluster.kubectl(args)
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
    return result.stdout
  }
  const get = async (name: string) => JSON.parse(await run('get', 'node', name, '-o', 'json')) as Node
  const condition = (node: Node, type: string) => node.status.conditions.find((one) => one.type === type)!
  const until = (name: string, holds: (node: Node) => boolean, deadlineMs = 120_000): Promise<Node> =>
    eventually<Node | false>(
      async () => {
        const node = await get(name)
        return holds(node) && node
      },
      { deadlineMs }
    )
  const isReady = (node: Node) => condition(node, 'Ready').status === 'True'
  /** Without the control plane's own, which come and go in its time. */
  const taintKeys = (node: Node) =>
    node.spec.taints
      .map(({ key }) => key)
      .filter((key) => !key.startsWith('node.kubernetes.io/'))
      .sort()
  const file = (entry: object = {}) => ({
    interlink: { url: backend.url, pingSeconds: 1 },
    nodes: [
      {
        name: 'edge',
        labels: { zone: 'a' },
        annotations: { contact: 'ops' },
        taints: [{ key: 'project', value: 'x', effect: 'NoSchedule' as const }],
        podCIDR: '10.200.0.0/24',
        resources: {
          cpu: '64',
          memory: '3000G',
          pods: '200',
          accelerators: [{ resourceType: 'nvidia.com/gpu', model: 'a100', available: '2' }]
        },
        ...entry
      }
    ]
  })
  const backendTaint = { key: 'maintenance', value: '1', effect: 'NoSchedule' }

  await t.test(
    'a node registers with what the configuration and the backend say, and is Ready',
    async (t) => {
      backend.state.ping = {
        status: 'ok',
        resources: {
          cpu: '128',
          accelerators: [
            { resourceType: 'nvidia.com/mig-1g.5gb', available: '7' },
            { resourceType: 'amd.com/gpu', available: '4', models: ['mi250'] },
            { resourceType: 'xilinx.com/fpga', available: '2', models: ['u250', 'u280'] }
          ]
        },
        taints: [backendTaint]
      }
      const { close } = await start(t, cluster, file(), dir)
      const node = await until('edge', isReady)
      t.match(node.metadata.labels, {
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': /^(amd64|arm64)$/,
        'kubernetes.io/hostname': 'edge',
        'kubernetes.io/role': 'agent',
        'virtual-node.interlink/type': 'virtual-kubelet',
        'node.kubernetes.io/exclude-from-external-load-balancers': 'true',
        'nvidia-gpu-type': 'a100',
        'amd-gpu-type': 'mi250',
        'xilinx-fpga-type': undefined,
        zone: 'a'
      })
      t.match(node.metadata.annotations, { contact: 'ops' })
      t.match(node.metadata.annotations['interlink.virtual-kubelet.io/ping-response'], /"cpu":"128"/)
      t.match(node.status.capacity, { cpu: '128', 'nvidia.com/gpu': '2', 'nvidia.com/mig-1g.5gb': '7' })
      t.same(node.status.allocatable, node.status.capacity)
      t.equal(node.spec.podCIDR, '10.200.0.0/24')
      t.same(taintKeys(node), ['maintenance', 'project', 'virtual-node.interlink/no-schedule'])
      t.match(node.status.addresses, [
        { type: 'InternalIP', address: '127.0.0.1' },
        { type: 'Hostname', address: 'edge' }
      ])
      t.match(node.status.nodeInfo.kubeletVersion, /^v1\.\d+\.\d+\+interlink\.\d/)
      t.ok(node.status.daemonEndpoints.kubeletEndpoint.Port > 0)
      for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'])
        t.equal(condition(node, type).status, 'False', type)
      t.equal(condition(node, 'InterlinkConnectivity').reason, 'InterlinkPingSuccessful')
      const lease = await eventually(
        async () =>
          JSON.parse(await run('-n', 'kube-node-lease', 'get', 'lease', 'edge', '-o', 'json')) as {
            spec: { leaseDurationSeconds: number; holderIdentity: string }
            metadata: { ownerReferences: { uid: string }[] }
          }
      )
      t.match(lease.spec, { leaseDurationSeconds: 40, holderIdentity: 'edge' })
      t.equal(lease.metadata.ownerReferences[0]!.uid, node.metadata.uid)
      await close()
    }
  )

  await t.test(
    'a restart applies what has changed to the node that is there, and leaves what is not ours',
    async (t) => {
      await run('cordon', 'edge')
      await run('label', 'node', 'edge', 'team=blue')
      await run('taint', 'node', 'edge', 'others=1:PreferNoSchedule')
      backend.state.ping = { status: 'ok' }
      const changed = file({
        labels: { zone: 'b' },
        annotations: {},
        taints: [{ key: 'new', effect: 'NoExecute' }],
        resources: { cpu: '8', memory: '16Gi', pods: '20' }
      })
      await start(t, cluster, changed, dir)
      const node = await until(
        'edge',
        (seen) =>
          seen.metadata.labels.zone === 'b' &&
          seen.status.capacity.cpu === '8' &&
          taintKeys(seen).includes('new')
      )
      t.match(
        taintKeys(node),
        ['maintenance', 'new', 'others', 'virtual-node.interlink/no-schedule'],
        'the backend’s taint stays while it says nothing of taints'
      )
      t.notOk('nvidia-gpu-type' in node.metadata.labels)
      t.notOk('contact' in node.metadata.annotations)
      t.equal(node.metadata.labels.team, 'blue')
      t.equal(node.spec.unschedulable, true)
      t.match(node.status.capacity, { cpu: '8', memory: '16Gi', pods: '20' })
      t.notOk('nvidia.com/gpu' in node.status.capacity, 'what is no longer offered is gone')

      backend.state.ping = { status: 'ok', taints: [] }
      await until('edge', (seen) => !taintKeys(seen).includes('maintenance'))
      await run('uncordon', 'edge')

      await t.test('what others take from it is put back', async () => {
        await run('label', 'node', 'edge', 'zone-')
        await run('taint', 'node', 'edge', 'virtual-node.interlink/no-schedule-')
        await until(
          'edge',
          (seen) =>
            seen.metadata.labels.zone === 'b' &&
            taintKeys(seen).includes('virtual-node.interlink/no-schedule')
        )
      })

      await t.test(
        'a backend that fails makes it NotReady with the reason, and Ready again at once',
        async (t) => {
          const before = condition(await get('edge'), 'Ready')
          backend.state.ping = undefined
          const down = await until('edge', (seen) => !isReady(seen))
          t.match(condition(down, 'Ready').message, /503: the scheduler is down/)
          t.match(condition(down, 'InterlinkConnectivity'), {
            status: 'False',
            reason: 'InterlinkPingFailed'
          })
          await until(
            'edge',
            ({ metadata }) => metadata.annotations['interlink.virtual-kubelet.io/ping-response'] === ''
          )
          const pings = backend.state.pings
          await eventually(() => backend.state.pings > pings + 1)
          const still = condition(await get('edge'), 'Ready')
          t.equal(
            still.lastTransitionTime,
            condition(down, 'Ready').lastTransitionTime,
            'one transition, one time'
          )
          backend.state.ping = { status: 'ok' }
          const up = await until('edge', isReady)
          t.ok(Date.parse(condition(up, 'Ready').lastTransitionTime) >= Date.parse(before.lastTransitionTime))
        }
      )

      await t.test('deleted, it registers again', async (t) => {
        const { uid } = (await get('edge')).metadata
        await run('delete', 'node', 'edge')
        const again = await until('edge', (seen) => seen.metadata.uid !== uid && isReady(seen))
        t.equal(again.metadata.labels.zone, 'b')
        await eventually(async () => {
          const lease = JSON.parse(
            await run('-n', 'kube-node-lease', 'get', 'lease', 'edge', '-o', 'json')
          ) as {
            metadata: { ownerReferences: { uid: string }[] }
          }
          return lease.metadata.ownerReferences[0]!.uid === again.metadata.uid
        })
      })
    }
  )

  await t.test('thirty nodes live in one process behind one port', async (t) => {
    backend.state.ping = { status: 'ok' }
    const names = Array.from({ length: 30 }, (_, index) => `many-${index}`)
    const { nodes } = await start(
      t,
      cluster,
      { interlink: { url: backend.url, pingSeconds: 5 }, nodes: names.map((name) => ({ name })) },
      dir
    )
    await Promise.all([names[0]!, names[14]!, names[29]!].map((name) => until(name, isReady)))
    t.equal(new Set(nodes.map(({ kubeletUrl }) => kubeletUrl)).size, 1)
    await run('delete', 'node', names[7]!)
    await until(names[7]!, isReady)
  })
})
