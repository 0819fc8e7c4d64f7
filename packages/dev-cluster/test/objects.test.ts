import t from 'tap'
import { devCluster, pod, podsPath, until, node } from './support.ts'

const namespaced = (plural: string) => `/api/v1/namespaces/default/${plural}`
const strategic = { 'content-type': 'application/strategic-merge-patch+json' }

void t.test('a pod on a node is given its grace and waits for the node to let it go', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a', { nodeName: 'n1', terminationGracePeriodSeconds: 7 }))
  const { body: marked } = await api('DELETE', `${podsPath}/a`)
  t.match(marked.metadata, { deletionGracePeriodSeconds: 7, deletionTimestamp: /^20/, generation: 2 })
  t.match(await api('DELETE', `${podsPath}/a`, { gracePeriodSeconds: 60 }), {
    body: { metadata: { deletionGracePeriodSeconds: 7 } }
  })
  t.match(await api('GET', `${podsPath}/a`), { status: 200 })
  await api('DELETE', `${podsPath}/a`, { gracePeriodSeconds: 0 })
  t.match(await api('GET', `${podsPath}/a`), { status: 404 })
})

void t.test('a pod without a node, or one that has ended, goes at once', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('free'))
  await api('POST', podsPath, pod('ended', { nodeName: 'n1' }))
  await api('PATCH', `${podsPath}/ended/status`, { status: { phase: 'Succeeded' } })
  for (const name of ['free', 'ended']) {
    await api('DELETE', `${podsPath}/${name}`, { gracePeriodSeconds: 30 })
    t.match(await api('GET', `${podsPath}/${name}`), { status: 404 }, name)
  }
})

void t.test('a deletion asked for one UID never hits another', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a'))
  t.match(await api('DELETE', `${podsPath}/a`, { preconditions: { uid: 'another' } }), {
    status: 409,
    body: { reason: 'Conflict', message: /UID in precondition: another/ }
  })
  t.match(await api('GET', `${podsPath}/a`), { status: 200 })
})

void t.test('an object with a finalizer stays until the finalizer is gone', async (t) => {
  const { api } = await devCluster(t)
  const path = namespaced('configmaps')
  await api('POST', path, { metadata: { name: 'a', finalizers: ['example.org/held'] } })
  await api('DELETE', `${path}/a`)
  t.match(await api('GET', `${path}/a`), { body: { metadata: { deletionTimestamp: /^20/ } } })
  await api('PATCH', `${path}/a`, { metadata: { finalizers: null } })
  t.match(await api('GET', `${path}/a`), { status: 404 })
})

void t.test('what an object owns goes with it: in the background, first, or not at all', async (t) => {
  const { api } = await devCluster(t)
  const path = namespaced('configmaps')
  const family = async (name: string) => {
    const { body: owner } = await api('POST', path, { metadata: { name } })
    const reference = { apiVersion: 'v1', kind: 'ConfigMap', name, uid: String(owner.metadata!.uid) }
    await api('POST', path, { metadata: { name: `${name}-child`, ownerReferences: [reference] } })
  }
  const exists = async (name: string) => (await api('GET', `${path}/${name}`)).status === 200
  await family('background')
  await api('DELETE', `${path}/background`)
  await until(async () => !(await exists('background-child')))
  await family('foreground')
  await api('DELETE', `${path}/foreground`, { propagationPolicy: 'Foreground' })
  await until(async () => !(await exists('foreground')))
  t.notOk(await exists('foreground-child'))
  await family('orphan')
  await api('DELETE', `${path}/orphan`, { propagationPolicy: 'Orphan' })
  await until(async () => !(await exists('orphan')))
  t.match(await api('GET', `${path}/orphan-child`), { status: 200 })
})

void t.test('a namespace starts with an account and the CA, and ends when its content has', async (t) => {
  const { api, ca } = await devCluster(t, { scheduler: false })
  await api('POST', '/api/v1/namespaces', { metadata: { name: 'x' } })
  t.match(await api('GET', '/api/v1/namespaces/x/serviceaccounts/default'), { status: 200 })
  t.match(await api('GET', '/api/v1/namespaces/x/configmaps/kube-root-ca.crt'), {
    body: { data: { 'ca.crt': ca } }
  })
  await api('POST', '/api/v1/namespaces/x/pods', pod('a', { nodeName: 'n1' }))
  await api('DELETE', '/api/v1/namespaces/x')
  t.match(await api('POST', '/api/v1/namespaces/x/pods', pod('b')), {
    status: 403,
    body: { details: { causes: [{ reason: 'NamespaceTerminating' }] } }
  })
  await until(async () => (await api('GET', '/api/v1/namespaces/x/pods/a')).body.metadata!.deletionTimestamp)
  t.match(await api('GET', '/api/v1/namespaces/x'), { body: { status: { phase: 'Terminating' } } })
  await api('DELETE', '/api/v1/namespaces/x/pods/a', { gracePeriodSeconds: 0 })
  await until(async () => (await api('GET', '/api/v1/namespaces/x')).status === 404)
})

void t.test('a strategic patch merges lists by the key of their type', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a', { nodeName: 'n1' }))
  const status = `${podsPath}/a/status`
  await api('PATCH', status, { status: { conditions: [{ type: 'Ready', status: 'False' }] } }, strategic)
  await api('PATCH', status, { status: { conditions: [{ type: 'Initialized', status: 'True' }] } }, strategic)
  const { body } = await api(
    'PATCH',
    status,
    {
      status: {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'Initialized', $patch: 'delete' }
        ]
      }
    },
    strategic
  )
  t.same(body.status!.conditions, [{ type: 'Ready', status: 'True' }])
  const two = {
    template: { metadata: { labels: { x: '1' } }, spec: pod('', { containers: [container('b')] }).spec }
  }
  const deployments = '/apis/apps/v1/namespaces/default/deployments'
  await api('POST', deployments, {
    metadata: { name: 'd' },
    spec: { replicas: 0, selector: { matchLabels: { x: '1' } }, ...two }
  })
  const patch = {
    '$setElementOrder/containers': [{ name: 'a' }, { name: 'b' }],
    containers: [container('a')]
  }
  const merged = await api('PATCH', `${deployments}/d`, { spec: { template: { spec: patch } } }, strategic)
  t.match(merged.body.spec!.template!.spec!.containers, [{ name: 'a' }, { name: 'b', image: 'x' }])
  await api('POST', '/api/v1/nodes', node('n1', { taints: [{ key: 'ours', effect: 'NoSchedule' }] }))
  const taints = [{ key: 'theirs', effect: 'NoExecute' }]
  const replaced = await api('PATCH', '/api/v1/nodes/n1', { spec: { taints } }, strategic)
  t.same(
    replaced.body.spec!.taints,
    taints,
    'taints have no merge key: the list is replaced, as by the real API'
  )
})

const container = (name: string) => ({ name, image: 'x' })

void t.test('a merge patch replaces lists, and a JSON patch that does not fit is refused', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a', {}, { labels: { x: '1' } }))
  const { body } = await api('PATCH', `${podsPath}/a/status`, {
    status: { conditions: [{ type: 'A', status: 'True' }] }
  })
  t.same(body.status!.conditions, [{ type: 'A', status: 'True' }])
  t.match(body.status, { phase: 'Pending', qosClass: 'BestEffort' })
  const json = { 'content-type': 'application/json-patch+json' }
  const wrong = [{ op: 'test', path: '/metadata/labels/x', value: '2' }]
  t.match(await api('PATCH', `${podsPath}/a`, wrong, json), { status: 422 })
  const right = [{ op: 'replace', path: '/metadata/labels/x', value: '2' }]
  t.match(await api('PATCH', `${podsPath}/a`, right, json), { body: { metadata: { labels: { x: '2' } } } })
})

void t.test(
  'a write to the status leaves the rest, and a write to the object leaves the status',
  async (t) => {
    const { api } = await devCluster(t, { scheduler: false })
    const { body: made } = await api('POST', podsPath, { ...pod('a'), status: { phase: 'Running' } })
    t.match(made.status, { phase: 'Pending' })
    await api('PATCH', `${podsPath}/a/status`, {
      status: { phase: 'Running' },
      spec: { activeDeadlineSeconds: 5 }
    })
    const { body } = await api('PATCH', `${podsPath}/a`, {
      status: { phase: 'Failed' },
      metadata: { labels: { x: '1' } }
    })
    t.match(body, { status: { phase: 'Running' }, metadata: { labels: { x: '1' } } })
    t.notOk(body.spec!.activeDeadlineSeconds)
  }
)

void t.test(
  'times are kept in whole seconds, and micro times in six digits, as the real API does',
  async (t) => {
    const { api } = await devCluster(t)
    await api('POST', '/api/v1/nodes', node('n1'))
    const { body } = await api('GET', '/api/v1/nodes/n1')
    t.match((body.status!.conditions as unknown as unknown[])[0], { lastHeartbeatTime: /T\d\d:\d\d:\d\dZ$/ })
    const lease = {
      metadata: { name: 'n1' },
      spec: { renewTime: '2026-01-01T00:00:00.100000Z', holderIdentity: 'n1' }
    }
    t.match(await api('POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', lease), {
      body: { spec: { renewTime: '2026-01-01T00:00:00.100000Z' } }
    })
  }
)

void t.test(
  'server-side apply takes away what a manager no longer mentions, and tells of conflicts',
  async (t) => {
    const { api } = await devCluster(t)
    const path = `${namespaced('configmaps')}/a`
    const apply = (manager: string, data: object, more = '') =>
      api(
        'PATCH',
        `${path}?fieldManager=${manager}${more}`,
        { apiVersion: 'v1', kind: 'ConfigMap', data },
        {
          'content-type': 'application/apply-patch+yaml'
        }
      )
    t.match(await apply('one', { a: '1', b: '1' }), { status: 201 })
    t.match(await apply('two', { c: '1' }), { status: 200 })
    const { body } = await apply('one', { a: '1' })
    t.same(body.data, { a: '1', c: '1' })
    t.match(await apply('two', { a: '2' }), {
      status: 409,
      body: { details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.a' }] } }
    })
    const forced = await apply('two', { a: '2' }, '&force=true')
    t.same(forced.body.data, { a: '2' })
  }
)
