import t from 'tap'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { stateOf } from '../support/backend-cluster.ts'
import { eventually } from '../support/eventually.ts'
import { startKubectl } from '../support/kubectl-process.ts'
import { isRunning, logOf, refOf, scriptPod, statusOf, whenStatus } from '../support/plugin.ts'
import { requireReal } from '../support/require-real.ts'
import { startHtcondorCluster, startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const closed = { prefix, nodes: 1, extra: ['ENABLE_SSH_TO_JOB = False'] }
const callHome = { listen: 'http://127.0.0.1:0' }
const patience = { deadlineMs: 180_000 }

t.test('where condor_ssh_to_job is not allowed, jobs call the plugin, and the node says so', async (t) => {
  if (!requireReal(t, htcondorUnprepared() ?? controlPlaneUnavailable())) return
  const [lab, cluster] = await Promise.all([
    startHtcondorLab(closed),
    startControlPlane({ scheduler: false })
  ])
  t.teardown(() => lab.close())
  t.teardown(() => cluster.stop())
  const { apply, until, kubectl } = await startHtcondorCluster(
    t,
    { ...lab.options, streams: { callHome } },
    'interlink',
    cluster
  )
  const ways = async () =>
    /exec and port-forward by (.*)/.exec((await kubectl(['describe', 'node', 'interlink'])).stdout)?.[1]
  // What comes into question.
  await eventually(async () => (await ways()) === 'ssh-to-job, call-home', patience)
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'box' },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      nodeName: 'interlink',
      containers: [
        {
          name: 'main',
          image: 'host',
          command: ['/bin/sh', '-c', 'while read -r line && [ "$line" != bye ]; do echo "<$line>"; done'],
          stdin: true
        }
      ]
    }
  })
  await until('box', (status) => stateOf(status, 'running'))

  const ran = await kubectl(['exec', 'box', '--', 'sh', '-c', 'echo "$_CONDOR_SLOT"; echo err >&2; exit 7'])
  t.match(ran, { stdout: /^slot1_1/, stderr: /^err\n/, code: 7 })
  const bytes = randomBytes(1_000_000)
  const piped = startKubectl(cluster.env, ['exec', '-i', 'box', '--', 'cat'], bytes)
  t.ok((await piped.ended).stdout.equals(bytes))
  await eventually(async () => (await ways()) === 'call-home', patience)

  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const forward = startKubectl(cluster.env, [
    ...['port-forward', 'box', `:${(server.address() as AddressInfo).port}`]
  ])
  t.teardown(() => forward.child.kill())
  const port = await eventually(() => /127\.0\.0\.1:(\d+)/.exec(forward.text())?.[1], patience)
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
  socket.end(bytes)
  t.ok((await buffer(socket)).equals(bytes), 'port-forward')

  const attached = startKubectl(cluster.env, ['attach', '-i', 'box'], 'open')
  attached.child.stdin!.write('hello\n')
  await eventually(() => attached.text().includes('<hello>\n'), patience)
  attached.child.stdin!.write('bye\n')
  await until('box', ({ phase }) => phase === 'Succeeded')
  await attached.ended

  const none = await startHtcondorPlugin(t, lab)
  const pod = scriptPod('sleep 1000', { spec: { terminationGracePeriodSeconds: 1 } })
  await none.client.create(pod)
  await whenStatus(none.client, pod, isRunning, patience.deadlineMs)
  const session = await none.client.stream(pod.pod.metadata.uid!, {
    ...{ kind: 'exec', container: 'main', stdin: false, tty: false },
    command: ['true']
  })
  const { message } = await session.status
  t.match(message, /not reached: ssh-to-job: [^;]*ENABLE_SSH_TO_JOB=false; /, 'where there is no other way')
})

t.test('with files that are carried, a job that has called is followed while it runs', async (t) => {
  if (!requireReal(t, htcondorUnprepared())) return
  const lab = await startHtcondorLab({ ...closed, sharedFileSystem: false })
  t.teardown(() => lab.close())
  const options = { files: 'transfer', streams: { callHome: { ...callHome, keep: true }, startSeconds: 60 } }
  const { client } = await startHtcondorPlugin(t, lab, undefined, options)
  const pod = scriptPod('trap "exit 0" TERM; echo up; while :; do sleep 0.1; done')
  await client.create(pod)
  await whenStatus(client, pod, isRunning, patience.deadlineMs)
  await eventually(async () => (await logOf(client, pod)) === 'up\n', patience)
  const session = await client.stream(pod.pod.metadata.uid!, {
    ...{ kind: 'exec', container: 'main', stdin: true, tty: false },
    command: ['/bin/sh', '-c', 'cat; exit 3']
  })
  session.input.end('typed')
  t.equal(await text(session.output), 'typed')
  t.equal((await session.status).details?.causes?.[0]?.message, '3')
  t.equal((await client.ping()).parsed?.streams, 'call-home')
  await client.delete(refOf(pod))
  await eventually(async () => (await statusOf(client, pod)) === undefined, patience)
  await eventually(async () => (await lab.run('condor_q', '-allusers', '-af', 'ClusterId')) === '', patience)
})
