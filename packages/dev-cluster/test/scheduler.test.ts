import t from 'tap'
import { devCluster, node, pod, podsPath, until, type Fixture } from './support.ts'

const nodeOf = ({ api }: Fixture, name: string) =>
  until(async () => {
    const { body } = await api('GET', `${podsPath}/${name}`)
    return body.spec!.nodeName as unknown as string | undefined
  })

/** What the scheduler says of a pod that fits nowhere. */
const refusal = ({ api }: Fixture, name: string) =>
  until(async () => {
    const { body } = await api('GET', `${podsPath}/${name}`)
    const conditions = (body.status!.conditions ?? []) as unknown as { type: string; message: string }[]
    return conditions.find(({ type }) => type === 'PodScheduled')?.message
  })

void t.test('a pod goes where its selector, affinity and tolerations let it', async (t) => {
  const fixture = await devCluster(t)
  const { api } = fixture
  const taint = { key: 'virtual-node.interlink/no-schedule', value: 'true', effect: 'NoSchedule' }
  await api('POST', '/api/v1/nodes', node('tainted', { taints: [taint], labels: { disk: 'ssd' } }))
  await api('POST', podsPath, pod('strict'))
  t.match(
    await refusal(fixture, 'strict'),
    '0/1 nodes are available: 1 node(s) had untolerated taint {virtual-node.interlink/no-schedule: true}.'
  )
  const tolerations = [{ key: taint.key, operator: 'Exists' }]
  await api('POST', podsPath, pod('tolerant', { tolerations }))
  t.equal(await nodeOf(fixture, 'tolerant'), 'tainted')
  await api('POST', podsPath, pod('elsewhere', { tolerations, nodeSelector: { disk: 'tape' } }))
  t.match(await refusal(fixture, 'elsewhere'), "1 node(s) didn't match Pod's node affinity/selector")
  const required = (operator: string, values: string[]) => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator, values }] }]
      }
    }
  })
  await api('POST', podsPath, pod('near', { tolerations, affinity: required('In', ['ssd']) }))
  t.equal(await nodeOf(fixture, 'near'), 'tainted')
  await api('POST', podsPath, pod('far', { tolerations, affinity: required('NotIn', ['ssd']) }))
  t.match(await refusal(fixture, 'far'), 'affinity/selector')
  await api('POST', '/api/v1/nodes', node('plain', { labels: { disk: 'tape' } }))
  t.equal(await nodeOf(fixture, 'strict'), 'plain', 'tried again when a node comes')
  t.equal(await nodeOf(fixture, 'elsewhere'), 'plain')
  const preferred = {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 10, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } }
      ]
    }
  }
  await api('POST', podsPath, pod('choosy', { tolerations, affinity: preferred }))
  t.equal(await nodeOf(fixture, 'choosy'), 'tainted')
})

void t.test('a node is filled up to its resources, extended ones included, and no further', async (t) => {
  const fixture = await devCluster(t)
  const { api } = fixture
  await api(
    'POST',
    '/api/v1/nodes',
    node('n1', { allocatable: { cpu: '2', 'xilinx.com/fpga': '1', pods: '3' } })
  )
  const asks = (limits: object) => ({ containers: [{ name: 'a', image: 'x', resources: { limits } }] })
  await api('POST', podsPath, pod('first', asks({ 'xilinx.com/fpga': '1', cpu: '1500m' })))
  t.equal(await nodeOf(fixture, 'first'), 'n1')
  await api('POST', podsPath, pod('second', asks({ 'xilinx.com/fpga': '1' })))
  t.match(await refusal(fixture, 'second'), '1 Insufficient xilinx.com/fpga')
  await api('POST', podsPath, pod('third', asks({ cpu: '1' })))
  t.match(await refusal(fixture, 'third'), '1 Insufficient cpu')
  await api('PATCH', `${podsPath}/first/status`, { status: { phase: 'Succeeded' } })
  t.equal(await nodeOf(fixture, 'second'), 'n1', 'what has ended makes room')
  t.equal(await nodeOf(fixture, 'third'), 'n1')
  await api('POST', podsPath, pod('fourth'))
  t.equal(await nodeOf(fixture, 'fourth'), 'n1')
  await api('POST', podsPath, pod('fifth'))
  t.match(await refusal(fixture, 'fifth'), '1 Too many pods')
})

void t.test('a cordoned node takes no pod, and the scheduler tells of both outcomes in events', async (t) => {
  const fixture = await devCluster(t)
  const { api } = fixture
  await api('POST', '/api/v1/nodes', node('n1'))
  await api('PATCH', '/api/v1/nodes/n1', { spec: { unschedulable: true } })
  await api('POST', podsPath, pod('a'))
  t.match(await refusal(fixture, 'a'), '1 node(s) were unschedulable')
  await api('PATCH', '/api/v1/nodes/n1', { spec: { unschedulable: null } })
  t.equal(await nodeOf(fixture, 'a'), 'n1')
  const events = await until(async () => {
    const { body } = await api(
      'GET',
      '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da'
    )
    const found = body.items as unknown as { reason: string; message: string }[]
    return found.some(({ reason }) => reason === 'Scheduled') && found
  })
  t.match(new Set(events.map(({ reason }) => reason)), new Set(['FailedScheduling', 'Scheduled']))
  t.ok(events.some(({ message }) => message === 'Successfully assigned default/a to n1'))
})

void t.test('the pod of higher priority gets the last place', async (t) => {
  const fixture = await devCluster(t)
  const { api } = fixture
  await api('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', { metadata: { name: 'high' }, value: 1000 })
  await api('POST', podsPath, pod('low'))
  await api('POST', podsPath, pod('first', { priorityClassName: 'high' }))
  await api('POST', '/api/v1/nodes', node('n1', { allocatable: { pods: '1' } }))
  t.equal(await nodeOf(fixture, 'first'), 'n1')
  t.match(await refusal(fixture, 'low'), 'Too many pods')
})

void t.test('a pod that is bound once stays where it is', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a'))
  const binding = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'a' },
    target: { kind: 'Node', name }
  })
  t.match(await api('POST', `${podsPath}/a/binding`, binding('n1')), { status: 201 })
  t.match(await api('POST', `${podsPath}/a/binding`, binding('n2')), { status: 409 })
  t.match(await api('GET', `${podsPath}/a`), {
    body: { spec: { nodeName: 'n1' }, status: { conditions: [{ type: 'PodScheduled', status: 'True' }] } }
  })
})

void t.test('a node that is not ready is tainted until it is, beside the taints of others', async (t) => {
  const { api } = await devCluster(t)
  const own = { key: 'ours', effect: 'NoSchedule' }
  const ready = (status: string) => ({
    status: { conditions: [{ type: 'Ready', status, lastHeartbeatTime: new Date().toISOString() }] }
  })
  await api('POST', '/api/v1/nodes', node('n1', { taints: [own], status: ready('False').status }))
  const taints = async () => {
    const { body } = await api('GET', '/api/v1/nodes/n1')
    return (body.spec!.taints as unknown as { key: string; effect: string }[]).map(
      ({ key, effect }) => `${key}:${effect}`
    )
  }
  await until(async () => (await taints()).length === 3)
  t.same(await taints(), [
    'ours:NoSchedule',
    'node.kubernetes.io/not-ready:NoSchedule',
    'node.kubernetes.io/not-ready:NoExecute'
  ])
  await api('PATCH', '/api/v1/nodes/n1/status', ready('True'))
  await until(async () => (await taints()).length === 1)
  t.same(await taints(), ['ours:NoSchedule'])
})
