import {
  CoreV1Api,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  Watch
} from '@kubernetes/client-node'
import t from 'tap'
import { devCluster, pod, until } from './support.ts'

void t.test('the JavaScript client lists, watches, patches and informs', async (t) => {
  const { cluster } = await devCluster(t, { scheduler: false })
  const config = new KubeConfig()
  config.loadFromString(cluster.kubeconfig)
  const core = config.makeApiClient(CoreV1Api)
  const namespace = 'default'

  const seen: string[] = []
  const watch = await new Watch(config).watch(
    `/api/v1/namespaces/${namespace}/pods`,
    { allowWatchBookmarks: true },
    (type: string, object: { metadata: { name: string } }) =>
      void seen.push(`${type} ${object.metadata.name}`),
    () => {}
  )
  t.teardown(() => watch.abort())
  const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/pods`, () =>
    core.listNamespacedPod({ namespace })
  )
  informer.on('error', () => {})
  await informer.start()
  t.teardown(() => informer.stop())

  const made = await core.createNamespacedPod({ namespace, body: pod('a') as never })
  t.equal(made.status!.phase, 'Pending')
  await core.patchNamespacedPodStatus(
    { namespace, name: 'a', body: { status: { phase: 'Running' } } },
    setHeaderOptions('Content-Type', PatchStrategy.MergePatch)
  )
  await until(() => informer.get('a', namespace)?.status?.phase === 'Running')
  await core.deleteNamespacedPod({ namespace, name: 'a' })
  await until(() => seen.at(-1) === 'DELETED a')
  t.same(seen, ['ADDED a', 'MODIFIED a', 'DELETED a'])
  await until(() => informer.list(namespace).length === 0)
  await t.rejects(core.readNamespacedPod({ namespace, name: 'a' }), { code: 404 })
})
