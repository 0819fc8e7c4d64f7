import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack, type Stack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

const rbac = new URL('../../deploy/kubernetes/rbac.yaml', import.meta.url).pathname

async function must(cluster: ControlPlane, ...args: string[]): Promise<string> {
  const result = await cluster.kubectl(args)
  if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
  return result.stdout
}

/** A kubeconfig of the cluster in which a bearer token stands for the user. */
async function kubeconfigWith(cluster: ControlPlane, name: string, token: string): Promise<string> {
  const config = parse(await readFile(cluster.kubeconfigPath, 'utf8')) as { users: { user: object }[] }
  config.users[0]!.user = { token }
  const path = join(cluster.dir, `${name}.kubeconfig`)
  await writeFile(path, stringify(config), { mode: 0o600 })
  return path
}

/** GET on the kubelet port; resolves to status and body. */
const ask = (port: number, path: string, token?: string): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    request({ host: '127.0.0.1', port, path, headers, rejectUnauthorized: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => (body += text))
      answer.on('end', () => resolve({ status: answer.statusCode!, body }))
    })
      .on('error', reject)
      .end()
  })

t.test('on the real control plane, with the rights of deploy/kubernetes/rbac.yaml alone', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  await must(cluster, 'apply', '-f', rbac)
  const token = (await must(cluster, '-n', 'interlink', 'create', 'token', 'interlink-node')).trim()
  const stack: Stack = await startStack({ kubeconfigPath: await kubeconfigWith(cluster, 'node', token) })
  t.teardown(() => stack.stop())
  const node = async () =>
    JSON.parse(await must(cluster, 'get', 'node', stack.nodeName, '-o', 'json')) as Pod & {
      status: {
        daemonEndpoints: { kubeletEndpoint: { Port: number } }
        conditions: { type: string; status: string }[]
      }
    }
  await eventually(async () =>
    (await node()).status.conditions.some((one) => one.type === 'Ready' && one.status === 'True')
  )

  await t.test(
    'a pod with a service account token runs to its end and goes when it is deleted',
    async (t) => {
      await must(cluster, 'create', 'configmap', 'words', '--from-literal=word=spoken')
      const pod = shellPod({
        name: 'least',
        script: 'echo $WORD; test -s /var/run/secrets/kubernetes.io/serviceaccount/token',
        container: {
          env: [{ name: 'WORD', valueFrom: { configMapKeyRef: { name: 'words', key: 'word' } } }]
        },
        spec: { automountServiceAccountToken: true }
      })
      await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
      await eventually(
        async () =>
          (await must(cluster, 'get', 'pod', 'least', '-o', 'jsonpath={.status.phase}')) === 'Succeeded'
      )
      t.equal(await must(cluster, 'logs', 'least'), 'spoken\n')
      await eventually(async () => /"Started"/.test(await must(cluster, 'get', 'events', '-o', 'json')))
      await must(cluster, 'delete', 'pod', 'least', '--timeout=120s')
    }
  )

  await t.test('no call of the node was forbidden', async (t) => {
    t.notMatch(await stack.log('vk'), /forbidden/i)
  })

  await t.test('the account may not do what a node has no business with', async (t) => {
    const as = '--as=system:serviceaccount:interlink:interlink-node'
    for (const wish of [
      ['create', 'pods'],
      ['create', 'deployments.apps'],
      ['delete', 'nodes'],
      ['update', 'secrets'],
      ['create', 'clusterrolebindings.rbac.authorization.k8s.io']
    ])
      t.equal((await cluster.kubectl(['auth', 'can-i', ...wish, as])).stdout.trim(), 'no', wish.join(' '))
  })

  await t.test('the kubelet port serves nobody unknown, and the known what they may', async (t) => {
    const port = (await node()).status.daemonEndpoints.kubeletEndpoint.Port
    t.equal((await ask(port, '/healthz')).status, 401)
    t.equal((await ask(port, '/pods')).status, 401)
    t.equal((await ask(port, '/containerLogs/default/x/main')).status, 401)
    const nobody = (await must(cluster, 'create', 'token', 'default')).trim()
    t.equal((await ask(port, '/pods', nobody)).status, 403)
    await must(
      cluster,
      'create',
      'clusterrole',
      'watcher',
      '--verb=get',
      '--resource=nodes/metrics,nodes/stats,nodes/pods'
    )
    await must(cluster, 'create', 'serviceaccount', 'watcher')
    await must(
      cluster,
      'create',
      'clusterrolebinding',
      'watcher',
      '--clusterrole=watcher',
      '--serviceaccount=default:watcher'
    )
    const watcher = (await must(cluster, 'create', 'token', 'watcher')).trim()
    // A right is known to who asks for it a moment after it was given, and a refusal is remembered for a while.
    await eventually(async () => (await ask(port, '/metrics/resource', watcher)).status === 200)
    t.equal((await ask(port, '/stats/summary', watcher)).status, 200)
    t.equal((await ask(port, '/pods', watcher)).status, 200, 'nodes/pods is enough for the pods')
    t.equal((await ask(port, '/containerLogs/default/x/main', watcher)).status, 403)
    t.equal((await ask(port, '/metrics', 'not-a-token')).status, 401)
  })

  await t.test(
    'the serving certificate is self-signed until its request is approved, then changes without a restart',
    async (t) => {
      const pid = stack.pid('vk')
      const name = await eventually(async () =>
        (
          await must(
            cluster,
            'get',
            'csr',
            '-o',
            'jsonpath={.items[?(@.spec.signerName=="kubernetes.io/kubelet-serving")].metadata.name}'
          )
        ).trim()
      )
      await must(cluster, 'certificate', 'approve', name.split(' ')[0]!)
      const port = (await node()).status.daemonEndpoints.kubeletEndpoint.Port
      const trusted = () =>
        new Promise<boolean>((resolve) =>
          request({ host: '127.0.0.1', port, path: '/healthz', ca: cluster.admin.ca }, () => resolve(true))
            .on('error', () => resolve(false))
            .end()
        )
      await eventually(trusted, { deadlineMs: 180_000, everyMs: 500 })
      t.equal(stack.pid('vk'), pid)
    }
  )
})
