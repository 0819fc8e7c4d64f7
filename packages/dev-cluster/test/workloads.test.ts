import t, { type Test } from 'tap'
import { devCluster, node, podsPath, until } from './support.ts'

const apps = '/apis/apps/v1/namespaces/default'
const template = (image: string, more: object = {}) => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'main', image }], ...more }
})
const selector = { matchLabels: { app: 'web' } }

interface Pod {
  metadata: { name: string; deletionTimestamp?: string }
  spec: { nodeName?: string; containers: { image: string }[] }
}

async function bench(t: Test) {
  const { api } = await devCluster(t)
  const pods = async () =>
    ((await api('GET', `${podsPath}?labelSelector=app%3Dweb`)).body.items as unknown as Pod[]).filter(
      ({ metadata }) => !metadata.deletionTimestamp
    )
  const ready = async (status: object = {}) => {
    for (const { metadata } of await pods())
      await api('PATCH', `${podsPath}/${metadata.name}/status`, {
        status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], ...status }
      })
  }
  return { api, pods, ready }
}

void t.test('a deployment keeps its pods, scales, and rolls over when the new ones are ready', async (t) => {
  const { api, pods, ready } = await bench(t)
  const path = `${apps}/deployments`
  await api('POST', path, {
    metadata: { name: 'd' },
    spec: { replicas: 2, selector, template: template('one') }
  })
  await until(async () => (await pods()).length === 2)
  await ready()
  const status = await until(async () => {
    const { body } = await api('GET', `${path}/d`)
    return Number(body.status!.availableReplicas) === 2 && body
  })
  t.match(status.status!.conditions, [
    { type: 'Available', status: 'True' },
    { type: 'Progressing', reason: 'NewReplicaSetAvailable' }
  ])
  await api('DELETE', `${podsPath}/${(await pods())[0]!.metadata.name}`, { gracePeriodSeconds: 0 })
  await until(async () => (await pods()).length === 2)
  await api('PATCH', `${path}/d/scale`, { spec: { replicas: 3 } })
  await until(async () => (await pods()).length === 3)
  await ready()
  await api('PATCH', `${path}/d`, { spec: { template: template('two') } })
  await until(
    async () => (await pods()).filter(({ spec }) => spec.containers[0]!.image === 'two').length === 3
  )
  t.ok(
    (await pods()).some(({ spec }) => spec.containers[0]!.image === 'one'),
    'the old stay while the new start'
  )
  await ready()
  await until(async () => {
    const found = await pods()
    return found.length === 3 && found.every(({ spec }) => spec.containers[0]!.image === 'two')
  })
  t.match((await api('GET', `${path}/d`)).body.metadata!.annotations, {
    'deployment.kubernetes.io/revision': '2'
  })
  await api('DELETE', `${path}/d`)
  await until(async () => (await pods()).length === 0)
})

void t.test('a template that does not match its selector is refused', async (t) => {
  const { api } = await bench(t)
  const wrong = { matchLabels: { app: 'other' } }
  t.match(
    await api('POST', `${apps}/deployments`, {
      metadata: { name: 'd' },
      spec: { selector: wrong, template: template('one') }
    }),
    { status: 422, body: { details: { causes: [{ field: 'spec.template.metadata.labels' }] } } }
  )
})

void t.test(
  'a daemon set has one pod on each node that takes it, and a failed one is made anew',
  async (t) => {
    const { api, pods, ready } = await bench(t)
    const taint = { key: 'virtual-node.interlink/no-schedule', effect: 'NoSchedule' }
    await api('POST', '/api/v1/nodes', node('n1'))
    await api('POST', '/api/v1/nodes', node('n2'))
    await api('POST', '/api/v1/nodes', node('virtual', { taints: [taint] }))
    await api('POST', `${apps}/daemonsets`, {
      metadata: { name: 'd' },
      spec: { selector, template: template('one') }
    })
    const placed = async () =>
      (await pods())
        .map(({ spec }) => spec.nodeName ?? '')
        .sort()
        .join(' ')
    await until(async () => (await placed()) === 'n1 n2')
    const before = new Set((await pods()).map(({ metadata }) => metadata.name))
    await ready({ phase: 'Failed' })
    await until(async () => {
      const found = await pods()
      return found.length === 2 && found.every(({ metadata }) => !before.has(metadata.name))
    })
    await api('POST', '/api/v1/nodes', node('n3'))
    await until(async () => (await placed()) === 'n1 n2 n3')
    t.match((await api('GET', `${apps}/daemonsets/d`)).body.status, { desiredNumberScheduled: 3 })
  }
)
