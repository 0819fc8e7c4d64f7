import t from 'tap'
import { existsSync } from 'node:fs'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'

t.test('a real control plane', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const kubectl = async (...args: string[]) => (await cluster.kubectl(args)).stdout.trim()

  t.test('is of the version that clients are told', async (t) => {
    const { serverVersion, clientVersion } = JSON.parse(await kubectl('version', '-o', 'json'))
    t.match(serverVersion.gitVersion, /^v1\.35\.\d+$/)
    t.equal(clientVersion.gitVersion, serverVersion.gitVersion)
  })

  t.test('runs its controllers and its scheduler', async (t) => {
    t.equal((await cluster.kubectl(['create', 'job', 'one', '--image=host'])).code, 0)
    const scheduled = [
      'get',
      'pod',
      '-l',
      'job-name=one',
      '-o',
      'jsonpath={.items[*].status.conditions[*].reason}'
    ]
    t.equal(await eventually(() => kubectl(...scheduled)), 'Unschedulable')
  })

  t.test('refuses a user whom no role gives a right', async (t) => {
    const path = await cluster.kubeconfigFor('stranger', { user: 'stranger', groups: ['strangers'] })
    const { code, stderr } = await cluster.kubectl(['--kubeconfig', path, 'get', 'nodes'])
    t.equal(code, 1)
    t.match(stderr, 'User "stranger" cannot list resource "nodes"')
  })

  t.test('keeps a node to itself', async (t) => {
    const path = await cluster.kubeconfigFor('node-a', { user: 'system:node:a', groups: ['system:nodes'] })
    const create = (name: string) =>
      cluster.kubectl(['--kubeconfig', path, 'create', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
      })
    t.equal((await create('a')).code, 0)
    t.match(await create('b'), { code: 1, stderr: 'node "a" is not allowed to modify node "b"' })
  })

  t.test('publishes the authorities that a kubelet port checks clients with', async (t) => {
    const data = await kubectl(
      '-n',
      'kube-system',
      'get',
      'cm',
      'extension-apiserver-authentication',
      '-o',
      'json'
    )
    t.match(JSON.parse(data).data, {
      'client-ca-file': /BEGIN CERTIFICATE/,
      'requestheader-client-ca-file': /BEGIN CERTIFICATE/
    })
  })

  t.test('keeps its objects when the API server is killed and started again', async (t) => {
    t.equal((await cluster.kubectl(['create', 'configmap', 'kept'])).code, 0)
    await cluster.kill('kube-apiserver')
    t.not((await cluster.kubectl(['get', 'configmap', 'kept'])).code, 0)
    await cluster.restart('kube-apiserver')
    t.equal(await kubectl('get', 'configmap', 'kept', '-o', 'name'), 'configmap/kept')
  })

  t.test('leaves nothing behind', async (t) => {
    await cluster.stop()
    t.notOk(existsSync(cluster.dir))
  })
})
