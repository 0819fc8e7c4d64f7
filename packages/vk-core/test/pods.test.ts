import t from 'tap'
import { startCluster, startVirtualNode } from './support/virtual-node.ts'

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
