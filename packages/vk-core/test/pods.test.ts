import t from 'tap'
import type { PodCreateRequests } from '@interlink-ts/interlink-api/wire'
import { startBackend } from './support/backend-double.ts'
import { eventually, startCluster, startVirtualNode } from './support/virtual-node.ts'

const cluster = await startCluster(t.testdir())
t.teardown(() => cluster.close())

const phase = (wanted: string) => (pod: { status?: { phase?: string } } | undefined) =>
  pod?.status?.phase === wanted

t.test('a pod runs, succeeds and is deleted, and the backend is told each step once', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  const { metadata } = await node.create('one')
  const uid = metadata.uid ?? ''
  const running = await node.until('one', phase('Running'))
  t.equal(running?.metadata.annotations?.JobID, 'job-1')
  t.match(running?.status, {
    hostIP: '192.0.2.7',
    podIP: '192.0.2.7',
    qosClass: 'BestEffort',
    containerStatuses: [{ name: 'main', ready: true, started: true, restartCount: 0 }]
  })
  const conditions = new Map(running?.status?.conditions?.map((one) => [one.type, one.status]))
  t.strictSame(Object.fromEntries(conditions), {
    PodReadyToStartContainers: 'True',
    Initialized: 'True',
    Ready: 'True',
    ContainersReady: 'True',
    PodScheduled: 'True'
  })
  node.backend.set(uid, { terminated: { exitCode: 0, finishedAt: new Date().toISOString() } })
  const done = await node.until('one', phase('Succeeded'))
  t.match(done?.status?.containerStatuses, [{ state: { terminated: { exitCode: 0, reason: 'Completed' } } }])
  t.match(
    done?.status?.conditions?.find((one) => one.type === 'Ready'),
    { status: 'False', reason: 'PodCompleted' }
  )
  await node.kube.delete(`/api/v1/namespaces/${node.namespace}/pods/one`)
  await node.until('one', (pod) => pod === undefined)
  t.equal(node.backend.count('create'), 1)
  t.equal(node.backend.count('delete'), 1)
  t.equal(node.backend.count('status'), 0, 'a backend with a watch is never polled')
  const reasons = (await node.events('one')).map((event) => event.reason).sort()
  t.strictSame(reasons, ['Created', 'Pulled', 'Pulling', 'Started'])
})

t.test('a backend without extensions is asked pod by pod where it answers only the first', async (t) => {
  const node = await startVirtualNode(cluster, { capabilities: [], answer: (known) => known.slice(0, 1) })
  t.teardown(() => node.close())
  const pods = await Promise.all(['a', 'b', 'c'].map((name) => node.create(name)))
  for (const name of ['a', 'b', 'c']) await node.until(name, phase('Running'))
  for (const { metadata } of pods) node.backend.set(metadata.uid ?? '', { terminated: { exitCode: 3 } })
  for (const name of ['a', 'b', 'c']) {
    const pod = await node.until(name, phase('Failed'))
    t.match(pod?.status?.containerStatuses, [{ state: { terminated: { exitCode: 3, reason: 'Error' } } }])
  }
  const batches = node.backend.calls.filter(
    (call) => call.op === 'status' && (call.body as unknown[]).length > 1
  )
  t.ok(batches.length >= 1 && batches.length <= 3, 'it learns not to ask for many at once')
})

t.test('an answer without containers never ends a pod', async (t) => {
  const node = await startVirtualNode(cluster, { capabilities: [] })
  t.teardown(() => node.close())
  const { metadata } = await node.create('poor')
  await node.until('poor', phase('Running'))
  const job = node.backend.jobs.get(metadata.uid ?? '')
  if (job) node.backend.jobs.set(job.UID, { ...job, containers: [] })
  const asked = node.backend.count('status')
  await eventually(() => node.backend.count('status') > asked + 3)
  t.equal((await node.pod('poor'))?.status?.phase, 'Running')
})

t.test('a pod waits for its ConfigMap and Secret, says so, and runs with what they hold', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('needy', {
    spec: {
      containers: [
        {
          name: 'main',
          image: 'host',
          args: ['$(GREETING) $(NOBODY) $$(GREETING)'],
          env: [
            { name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'settings', key: 'greeting' } } },
            { name: 'OPTIONAL', valueFrom: { secretKeyRef: { name: 'nowhere', key: 'x', optional: true } } },
            { name: 'WHO', value: '$(GREETING) from $(NODE)' },
            { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }
          ]
        }
      ],
      volumes: [{ name: 'keys', secret: { secretName: 'keys' } }]
    }
  })
  const waiting = await node.until(
    'needy',
    (pod) => pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError'
  )
  t.equal(waiting?.status?.containerStatuses?.[0]?.state?.waiting?.message, 'configmap "settings" not found')
  const objects = `/api/v1/namespaces/${node.namespace}`
  await node.kube.create(`${objects}/configmaps`, {
    metadata: { name: 'settings' },
    data: { greeting: 'hello' }
  })
  await node.kube.create(`${objects}/secrets`, { metadata: { name: 'keys' }, data: { key: 'AAH/' } })
  await node.until('needy', phase('Running'))
  const sent = node.backend.calls.find((call) => call.op === 'create')?.body as PodCreateRequests
  t.strictSame(sent.pod.spec.containers[0]?.args, ['hello $(NOBODY) $(GREETING)'])
  t.match(sent.pod.spec.containers[0]?.env, [
    { name: 'GREETING', value: 'hello' },
    { name: 'WHO', value: 'hello from $(NODE)' },
    { name: 'NODE', value: sent.pod.spec.nodeName }
  ])
  t.match(sent.secrets, [{ metadata: { name: 'keys' }, data: { key: 'AAH/' } }])
  t.equal(sent.pod.metadata.annotations?.['interlink.io/expanded'], 'env,args')
  t.equal((await node.pod('needy'))?.metadata.annotations?.['interlink.io/expanded'], undefined)
  const reasons = (await node.events('needy')).map((event) => event.reason)
  for (const reason of [
    'MandatoryConfigMapNotFound',
    'MandatorySecretNotFound',
    'FailedMount',
    'OptionalSecretNotFound'
  ])
    t.ok(reasons.includes(reason), reason)
})

t.test('tokens are asked for with audience, bound to the pod, and live as long as a job may', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('token', {
    spec: {
      volumes: [
        {
          name: 'bundle',
          projected: {
            sources: [
              { serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 7200 } },
              { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } }
            ]
          }
        },
        {
          name: 'info',
          downwardAPI: {
            items: [{ path: 'cpu', resourceFieldRef: { containerName: 'main', resource: 'limits.cpu' } }]
          }
        }
      ]
    }
  })
  await node.until('token', phase('Running'))
  const sent = node.backend.calls.find((call) => call.op === 'create')?.body as PodCreateRequests
  const [bundle, info] = sent.projectedvolumesmaps
  t.equal(bundle?.metadata.name, 'bundle')
  t.equal(bundle?.data?.name, 'token')
  t.match(bundle?.data?.['ca.crt'], /BEGIN CERTIFICATE/)
  const claims = JSON.parse(Buffer.from(bundle?.data?.token?.split('.')[1] ?? '', 'base64url').toString())
  t.match(claims.aud, ['vault'])
  t.equal(claims.exp - claims.iat, 365 * 24 * 3600, 'no file of a job is renewed')
  t.match(claims, { 'kubernetes.io': { pod: { name: 'token' } } })
  t.match(info, { metadata: { name: 'info' }, data: { cpu: '8' } })
})

t.test('what the backend refuses fails with the fields it named, and is not asked again', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  const refusals = [{ field: 'spec.hostPID', message: 'jobs have no host PID namespace' }]
  node.backend.fail('create', {
    status: 422,
    body: { code: 'PLUGIN_REFUSED', message: 'refused', session: 's', retry: false, refusals }
  })
  await node.create('greedy')
  const pod = await node.until('greedy', phase('Failed'))
  t.match(pod?.status, { reason: 'Refused', message: 'spec.hostPID: jobs have no host PID namespace' })
  t.equal(pod?.status?.containerStatuses?.[0]?.state?.terminated?.startedAt, undefined, 'it never started')
  t.equal(node.backend.count('create'), 1)
  // Events are written in the order in which they are told.
  const { metadata } = await node.create('next')
  await node.until('next', phase('Running'))
  await eventually(async () => (await node.events('next')).some((one) => one.reason === 'Started'))
  const events = await node.events('greedy')
  t.strictSame(
    events.map(({ type, reason }) => [type, reason]),
    [['Warning', 'Refused']]
  )
  t.match(events[0]!.message, /spec.hostPID/)
  node.backend.set(metadata.uid ?? '', { terminated: { exitCode: 0 } })
})

t.test('a create whose answer was lost is repeated to a backend that knows it by its UID', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  node.backend.fail('create', 'lose after', { status: 503, body: 'starting' }, 'lose')
  await node.create('again')
  await node.until('again', phase('Running'))
  t.equal(node.backend.jobs.size, 1)
})

t.test('a create whose answer was lost is never repeated to a backend of the reference', async (t) => {
  const node = await startVirtualNode(cluster, { capabilities: [] })
  t.teardown(() => node.close())
  node.backend.fail('create', 'lose after')
  await node.create('once')
  const pod = await node.until('once', phase('Running'))
  t.equal(pod?.metadata.annotations?.JobID, 'job-1')
  t.equal(node.backend.count('create'), 1)
  t.equal(node.backend.jobs.size, 1)
})

t.test('a create that no backend of the reference has taken fails with its words, as there', async (t) => {
  const node = await startVirtualNode(cluster, { capabilities: [], config: { lostAfterMs: 200 } })
  t.teardown(() => node.close())
  node.backend.fail('create', { status: 500, body: 'sbatch: error: invalid partition' }, 'lose')
  await node.create('sbatch')
  const pod = await node.until('sbatch', phase('Failed'))
  t.match(pod?.status, { reason: 'ProviderFailed', message: /invalid partition/ })
  await node.create('lost')
  t.match((await node.until('lost', phase('Failed')))?.status, { reason: 'ProviderFailed' })
  t.equal(node.backend.jobs.size, 0)
})

t.test(
  'a restart asks the backend first: nothing is started twice, and what was missed is caught up',
  async (t) => {
    const node = await startVirtualNode(cluster)
    t.teardown(() => node.close())
    const pods = await Promise.all(['r1', 'r2', 'r3'].map((name) => node.create(name)))
    for (const name of ['r1', 'r2', 'r3']) await node.until(name, phase('Running'))
    const [first, second] = pods.map((pod) => pod.metadata.uid ?? '')
    // As if killed between the create and its record.
    const path = `/api/v1/namespaces/${node.namespace}/pods`
    await node.kube.patch(`${path}/r1`, { metadata: { annotations: { JobID: null } } }, 'merge')
    const calm = await node.pod('r3')
    const restarted = node.restart()
    node.backend.set(second ?? '', { terminated: { exitCode: 0 } })
    await restarted
    await node.until('r2', phase('Succeeded'))
    await node.until(
      'r1',
      (pod) => pod?.metadata.annotations?.JobID === node.backend.jobs.get(first ?? '')?.JID
    )
    t.equal(node.backend.count('create'), 3)
    const after = await node.pod('r3')
    t.equal(
      after?.metadata.resourceVersion,
      calm?.metadata.resourceVersion,
      'what is the same is not written'
    )
  }
)

t.test('a job that the backend has lost fails the pod, and is not run again', async (t) => {
  const node = await startVirtualNode(cluster, { config: { lostAfterMs: 100 } })
  t.teardown(() => node.close())
  const { metadata } = await node.create('lost')
  await node.until('lost', phase('Running'))
  node.backend.forget(metadata.uid ?? '')
  const pod = await node.until('lost', phase('Failed'))
  t.match(pod?.status, { reason: 'NodeLost', message: /job-1/ })
  t.match(
    pod?.status?.conditions?.find((one) => one.type === 'DisruptionTarget'),
    { status: 'True' }
  )
  t.equal(node.backend.count('create'), 1)
})

t.test('a backend that is away changes no pod, and pods that wait for it run when it is back', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('steady')
  const before = await node.until(
    'steady',
    (pod) => phase('Running')(pod) && pod?.metadata.annotations?.JobID !== undefined
  )
  const { backend } = node
  const port = Number(new URL(backend.url).port)
  await backend.close()
  await node.create('later')
  await eventually(async () => (await node.events('later')).some((one) => one.reason === 'BackOff'))
  t.strictSame((await node.pod('steady'))?.status, before?.status)
  const back = await startBackend({ port, jobs: backend.jobs })
  t.teardown(() => back.close())
  await eventually(async () => {
    await node.ping()
    return phase('Running')(await node.pod('later'))
  })
  t.equal(back.count('create'), 1)
})

t.test('the API object of a deleted pod goes only when the backend has stopped', async (t) => {
  const node = await startVirtualNode(cluster, { endsAtOnce: false })
  t.teardown(() => node.close())
  const { metadata } = await node.create('slow')
  await node.until('slow', phase('Running'))
  const path = `/api/v1/namespaces/${node.namespace}/pods/slow`
  await node.kube.delete(path, { gracePeriodSeconds: 30 })
  await eventually(() => node.backend.count('delete') === 1)
  const asked = node.backend.calls.find((call) => call.op === 'delete')?.body
  t.match(asked, { metadata: { uid: metadata.uid, deletionGracePeriodSeconds: 30 } })
  t.ok(await node.pod('slow'))
  node.backend.set(metadata.uid ?? '', { terminated: { exitCode: 0 } })
  await node.until('slow', (pod) => pod === undefined)
  t.ok((await node.events('slow')).some((one) => one.reason === 'Killing'))
})

t.test(
  'a job that ends without a last word ends the deletion, and the pod says that it is not known how',
  async (t) => {
    const node = await startVirtualNode(cluster, { endsAtOnce: false })
    t.teardown(() => node.close())
    const { metadata } = await node.create('mute', { metadata: { finalizers: ['example.com/keep'] } })
    await node.until('mute', phase('Running'))
    const path = `/api/v1/namespaces/${node.namespace}/pods/mute`
    await node.kube.delete(path, { gracePeriodSeconds: 30 })
    await eventually(() => node.backend.count('delete') === 1)
    node.backend.forget(metadata.uid ?? '')
    const pod = await node.until('mute', (one) => one?.metadata.deletionGracePeriodSeconds === 0)
    t.match(pod?.status, {
      phase: 'Failed',
      containerStatuses: [{ state: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } } }]
    })
    await node.kube.patch(path, { metadata: { finalizers: null } }, 'merge')
    await node.until('mute', (one) => one === undefined)
  }
)

t.test('a pod that is removed by force is stopped in the backend too', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('forced')
  await node.until('forced', phase('Running'))
  await node.kube.delete(`/api/v1/namespaces/${node.namespace}/pods/forced`, { gracePeriodSeconds: 0 })
  await eventually(() => node.backend.jobs.size === 0)
  t.match(node.backend.calls.find((call) => call.op === 'delete')?.body, {
    metadata: { deletionGracePeriodSeconds: 0 }
  })
})

t.test('a pod that is deleted while it waits goes at once, and the backend is never asked', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('early', { spec: { volumes: [{ name: 'v', configMap: { name: 'never' } }] } })
  await node.until('early', (pod) => pod?.status?.startTime !== undefined)
  await node.kube.delete(`/api/v1/namespaces/${node.namespace}/pods/early`, { gracePeriodSeconds: 30 })
  await node.until('early', (pod) => pod === undefined)
  t.equal(node.backend.count('create') + node.backend.count('delete'), 0)
})

t.test('a job whose pod was removed while the node was down is deleted at its start', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  const { metadata, spec } = await node.create('orphan')
  await node.until('orphan', phase('Running'))
  const job = node.backend.jobs.get(metadata.uid ?? '')
  if (job) {
    node.backend.jobs.set('0-0', { ...job, UID: '0-0', name: 'gone', nodeName: spec.nodeName ?? '' })
    node.backend.jobs.set('0-1', { ...job, UID: '0-1', name: 'foreign', nodeName: undefined })
  }
  node.backend.fail('delete', { status: 500, body: 'no' })
  await node.restart()
  await eventually(async () => {
    await node.ping()
    return !node.backend.jobs.has('0-0')
  })
  t.ok(node.backend.jobs.has('0-1'), 'a job without the name of the node may be of another')
  t.equal((await node.pod('orphan'))?.status?.phase, 'Running')
})

t.test('pods of a DaemonSet are left pending with the reason, and may be allowed', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  // OpenKruise's: a kind that no controller of the cluster under test looks after.
  const owner = {
    apiVersion: 'apps.kruise.io/v1alpha1',
    kind: 'DaemonSet',
    name: 'logs',
    uid: '7d8c1c5e-0000-4000-8000-000000000001',
    controller: true
  }
  await node.create('daemon', { metadata: { ownerReferences: [owner] } })
  const pod = await node.until('daemon', (pod) => pod?.status?.reason === 'DaemonSetRefused')
  t.equal(pod?.status?.phase, 'Pending')
  t.equal(node.backend.count('create'), 0)
  const path = `/api/v1/namespaces/${node.namespace}/pods/daemon`
  await node.kube.patch(
    path,
    { metadata: { annotations: { 'interlink.io/allow-daemonset': 'true' } } },
    'merge'
  )
  await node.until('daemon', phase('Running'))
})

t.test('a status that somebody else has overwritten is put right, and their condition stays', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  await node.create('shared')
  await node.until('shared', phase('Running'))
  const conditions = [
    { type: 'Ready', status: 'False', reason: 'NodeNotReady' },
    { type: 'example.com/mine', status: 'True' }
  ]
  await node.kube.patch(
    `/api/v1/namespaces/${node.namespace}/pods/shared/status`,
    { status: { conditions } },
    'strategic'
  )
  const pod = await node.until(
    'shared',
    (one) =>
      one?.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True' && !c.reason) ?? false
  )
  t.ok(pod?.status?.conditions?.some((one) => one.type === 'example.com/mine'))
})

t.test('the deadline of a pod is kept where the backend does not, a shortened one too', async (t) => {
  const node = await startVirtualNode(cluster, { state: () => undefined })
  t.teardown(() => node.close())
  await node.create('late', {
    spec: { activeDeadlineSeconds: 1, volumes: [{ name: 'v', configMap: { name: 'never' } }] }
  })
  t.match((await node.until('late', phase('Failed')))?.status, { reason: 'DeadlineExceeded' })
})

t.test('two pods of one name, one after the other, are two', async (t) => {
  const node = await startVirtualNode(cluster)
  t.teardown(() => node.close())
  const first = await node.create('twin')
  await node.until('twin', phase('Running'))
  await node.kube.delete(`/api/v1/namespaces/${node.namespace}/pods/twin`, { gracePeriodSeconds: 0 })
  const second = await node.create('twin')
  await node.until('twin', phase('Running'))
  await eventually(() => node.backend.jobs.size === 1)
  t.not(first.metadata.uid, second.metadata.uid)
  t.ok(node.backend.jobs.has(second.metadata.uid ?? ''))
  t.equal(node.view.get(node.namespace, 'twin')?.metadata.uid, second.metadata.uid)
})
