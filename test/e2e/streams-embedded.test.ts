import t from 'tap'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { eventually } from '../support/eventually.ts'
import { startKubectl as start, ways } from '../support/kubectl-process.ts'
import { kubectlEnv, kubectlPath, kubectlUnavailable } from '../support/kubectl.ts'
import { onTerminal } from '../support/on-terminal.ts'
import { signalGroup } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

t.test('kubectl goes into a pod of the embedded cluster', async (t) => {
  if (!requireReal(t, kubectlUnavailable())) return
  const dir = t.testdir({ 'mounts.json': '{"volumeMounts":[{"name":"data","mountPath":"/mnt"}]}' })
  const kubeconfigPath = join(dir, 'kubeconfig')
  const cluster = await startDevCluster({ kubeconfigPath })
  t.teardown(() => cluster.close())
  const stack = await startStack({ kubeconfigPath })
  t.teardown(() => stack.stop())
  const env = kubectlEnv(kubeconfigPath, dir)
  const kubectl = (args: readonly string[], input?: Buffer, more = {}) =>
    start({ ...env, ...more }, args, input).ended
  const must = async (args: readonly string[], input?: Buffer) => {
    const { code, stdout, stderr } = await kubectl(args, input)
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
    return stdout.toString()
  }
  const pod = shellPod({
    name: 'box',
    script: 'while read -r line; do echo "<$line>"; done; sleep 1000',
    spec: { terminationGracePeriodSeconds: 1, volumes: [{ name: 'data', emptyDir: {} }] },
    container: { stdin: true, volumeMounts: [{ name: 'data', mountPath: '/data' }] }
  })
  await must(['apply', '-f', '-'], Buffer.from(JSON.stringify(pod)))
  await must(['wait', '--for=condition=Ready', 'pod/box', '--timeout=180s'])
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  for (const [way, variables] of Object.entries(ways))
    await t.test(`over ${way}`, async (t) => {
      const script = 'cat; echo err >&2; exit 7'
      const ran = await kubectl(
        ['exec', '-i', 'box', '--', 'sh', '-c', script],
        Buffer.from(`it's "in"\n`),
        variables
      )
      t.equal(ran.stdout.toString(), `it's "in"\n`)
      t.match(ran.stderr, /^err\n/)
      t.equal(ran.code, 7)

      const shell = onTerminal(
        [kubectlPath()!, 'exec', '-it', 'box', '--', 'sh', '-c', 'tty; read -r _; exit 4'],
        {
          ...env,
          ...variables
        }
      )
      t.teardown(() => shell.kill())
      await shell.shows(/\/dev\/pts\/\d+/)
      shell.type('\n')
      t.equal(await shell.ended, 4)

      const bytes = randomBytes(2_000_000)
      await writeFile(join(dir, 'there'), bytes)
      for (const args of [
        ['cp', join(dir, 'there'), 'box:/data/there'],
        ['cp', 'box:/data/there', join(dir, 'back')]
      ]) {
        const { code, stderr } = await kubectl(args, undefined, variables)
        t.equal(code, 0, stderr)
      }
      t.ok((await readFile(join(dir, 'back'))).equals(bytes))

      const forward = start({ ...env, ...variables }, [
        'port-forward',
        '--address=127.0.0.1',
        'box',
        `:${port}`
      ])
      t.teardown(() => signalGroup(forward.child, 'SIGKILL'))
      const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(forward.text())?.[1]))
      const socket = connect({ port: local, host: '127.0.0.1', allowHalfOpen: true })
      socket.end(bytes)
      t.ok((await buffer(socket)).equals(bytes))

      const attached = start({ ...env, ...variables }, ['attach', '-i', 'box'], 'open')
      t.teardown(() => signalGroup(attached.child, 'SIGKILL'))
      attached.child.stdin!.write(`${way}\n`)
      await eventually(() => attached.text().includes(`<${way}>\n`))
    })

  await t.test('who may not create pods/exec gets nowhere, whatever the way', async (t) => {
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'reader', namespace: 'default' },
      rules: [
        { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] },
        { apiGroups: [''], resources: ['pods/exec'], verbs: ['get'] }
      ]
    }
    const binding = {
      ...{ apiVersion: role.apiVersion, kind: 'RoleBinding', metadata: role.metadata },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }]
    }
    await must(['create', 'serviceaccount', 'reader'])
    for (const object of [role, binding])
      await must(['apply', '-f', '-'], Buffer.from(JSON.stringify(object)))
    const token = (await must(['create', 'token', 'reader'])).trim()
    // The administrator's kubeconfig has a token of its own, which --token gives way to.
    const as = ['--token', token]
    t.equal((await kubectl([...as, 'logs', 'box'])).code, 0)
    for (const variables of Object.values(ways)) {
      const refused = await kubectl([...as, 'exec', 'box', '--', 'true'], undefined, variables)
      t.not(refused.code, 0)
      t.match(refused.stderr, /cannot create resource "pods\/exec"/)
    }
  })

  await t.test('kubectl debug', async (t) => {
    await must(['exec', 'box', '--', 'sh', '-c', 'echo kept >/data/note'])
    const custom = `--custom=${join(dir, 'mounts.json')}`
    await must(['debug', 'box', '--image=host', '-c', 'look', custom, '--', 'cat', '/mnt/note'])
    const query = 'jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}'
    await eventually(async () => (await must(['get', 'pod', 'box', '-o', query])) === '0')
    t.equal(await must(['logs', 'box', '-c', 'look']), 'kept\n')
  })

  await t.test('what does not run, and a node that is away, are told in words', async (t) => {
    const script = ['exec', 'box', '-c', 'nobody', '--', 'true']
    t.match((await kubectl(script)).stderr, /container nobody is not valid|container not found/)
    await stack.kill('vk')
    for (const variables of Object.values(ways)) {
      const { code, stderr } = await kubectl(['exec', 'box', '--', 'true'], undefined, variables)
      t.not(code, 0)
      t.match(stderr, /error dialing backend: .*ECONNREFUSED/)
    }
  })
})
