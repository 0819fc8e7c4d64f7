/** Sessions that last: silent ones, slow readers, and the end of the node. */
import t, { type Test } from 'tap'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { isAlive, startKubectl, ways } from '../support/kubectl-process.ts'
import { signalGroup } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack, type Role, type Stack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

/** More than the 30 s after which an end that hears nothing gives up. */
const silenceMs = 40_000
const echo = (port: number) =>
  `require('node:net').createServer((socket) => socket.pipe(socket)).listen(${port}, '127.0.0.1')`

t.test('on the real control plane', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const stack = await startStack({ kubeconfigPath: cluster.kubeconfigPath })
  t.teardown(() => stack.stop())
  const kubectl = async (...args: string[]) => startKubectl(cluster.env, args).ended
  const port = await freePort()
  const pod = shellPod({
    name: 'box',
    script: `'${process.execPath}' -e "$SERVER" & cat`,
    spec: { terminationGracePeriodSeconds: 1, volumes: [{ name: 'data', emptyDir: {} }] },
    container: {
      stdin: true,
      readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
      env: [{ name: 'SERVER', value: echo(port) }],
      volumeMounts: [{ name: 'data', mountPath: '/data' }]
    }
  })
  await startKubectl(cluster.env, ['apply', '-f', '-'], Buffer.from(JSON.stringify(pod))).ended
  await eventually(
    async () => (await kubectl('wait', '--for=condition=Ready', 'pod/box', '--timeout=60s')).code === 0,
    { deadlineMs: 180_000 }
  )

  await t.test('for a while', { jobs: 8 }, async (t) => {
    for (const [way, variables] of Object.entries(ways)) {
      const env = { ...cluster.env, ...variables }
      t.test(`over ${way}, a session that says nothing for ${silenceMs / 1000} s lives`, (t) =>
        staysSilent(t, env, port)
      )
      t.test(`over ${way}, a reader that is slow makes the command wait, and nobody holds its bytes`, (t) =>
        readsSlowly(t, env, stack)
      )
    }
  })

  await t.test(
    'a node that is stopped says goodbye in the words of each protocol, and comes back',
    async (t) => {
      const number = await kubectl(
        ...['get', 'node', stack.nodeName, '-o', 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}']
      )
      const { cert, key } = cluster.admin
      const to = {
        ...{ host: '127.0.0.1', port: Number(number.stdout), cert, key },
        rejectUnauthorized: false
      }
      const command = 'output=1&input=1&command=sh&command=-c&command=echo+$$;exec+sleep+1000'
      const webSocket = new WebSocket(
        `wss://127.0.0.1:${to.port}/exec/default/box/main?${command}`,
        ['v5.channel.k8s.io'],
        to
      )
      let said = ''
      webSocket.on('message', (data: Buffer) => (said += data.subarray(1).toString()))
      const pid = await eventually(() => Number(said))

      const spdy = connectTls(to)
      const heard: Buffer[] = []
      spdy.on('data', (chunk: Buffer) => heard.push(chunk))
      spdy.write(
        'POST /portForward/default/box HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
          'X-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n'
      )
      await eventually(() => Buffer.concat(heard).includes('\r\n\r\n'))
      const client = startKubectl(cluster.env, ['exec', '-i', 'box', '--', 'cat'], 'open')
      client.child.stdin!.write('here\n')
      await eventually(() => client.text() === 'here\n')

      const ends = Promise.all([once(webSocket, 'close'), once(spdy, 'close'), client.ended])
      process.kill(stack.pid('vk'), 'SIGTERM')
      const [[code], , ended] = await ends
      t.equal(code, 1001)
      // Version 3, GOAWAY, no flags, 8 bytes; no stream was opened; OK.
      const goAway = Buffer.from('8003000700000008'.padEnd(32, '0'), 'hex')
      t.ok(Buffer.concat(heard).subarray(-goAway.length).equals(goAway))
      t.not(ended.code, 0, 'kubectl does not take it for the end of the command')
      t.match(ended.stderr, /the node was stopped/)
      await eventually(() => !isAlive(pid))
      t.pass('the commands have ended')

      await stack.restart('vk')
      await eventually(async () => (await kubectl('exec', 'box', '--', 'true')).code === 0, {
        deadlineMs: 180_000
      })
    }
  )
})

async function staysSilent(t: Test, env: NodeJS.ProcessEnv, port: number): Promise<void> {
  const start = (...args: string[]) => {
    const started = startKubectl(env, args, 'open')
    t.teardown(() => signalGroup(started.child, 'SIGKILL'))
    return started
  }
  const command = start('exec', '-i', 'box', '--', 'cat')
  const attached = start('attach', '-i', 'box')
  const forward = start('port-forward', '--address=127.0.0.1', 'box', `:${port}`)
  const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(forward.text())?.[1]))
  const socket = connect({ port: local, host: '127.0.0.1' })
  let echoed = ''
  socket.on('data', (chunk: Buffer) => (echoed += chunk.toString()))
  const saysAll = async (word: string) => {
    for (const { child } of [command, attached]) child.stdin!.write(`${word}\n`)
    socket.write(word)
    await eventually(() => command.text().endsWith(`${word}\n`))
    await eventually(() => attached.text().includes(`${word}\n`))
    await eventually(() => echoed.endsWith(word))
  }
  await saysAll(`before ${port}`)
  await delay(silenceMs)
  await saysAll(`after ${port}`)
  t.equal(command.child.exitCode, null)
  socket.destroy()
}

const roles: readonly Role[] = ['plugin', 'api-0', 'api-1', 'vk']

async function readsSlowly(t: Test, env: NodeJS.ProcessEnv, stack: Stack): Promise<void> {
  const [job] = readdirSync(stack.jobs).filter((name) => name.startsWith('default-'))
  const name = `progress-${Math.random()}`
  const progress = () => {
    try {
      return Number(readFileSync(join(stack.jobs, job!, 'volumes/data', name), 'utf8'))
    } catch {
      return 0
    }
  }
  const resident = () =>
    roles.reduce((sum, role) => {
      const status = readFileSync(`/proc/${stack.pid(role)}/status`, 'utf8')
      return sum + Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024
    }, 0)
  const before = resident()
  const script = `i=0; while head -c 65536 /dev/zero; do i=$((i+1)); echo $i >/data/${name}; done`
  const { child } = startKubectl(env, ['exec', 'box', '--', 'sh', '-c', script], 'open', { reads: false })
  t.teardown(() => signalGroup(child, 'SIGKILL'))
  let last = 0
  let same = 0
  await eventually(
    () => {
      const now = progress()
      same = now > 0 && now === last ? same + 1 : 0
      last = now
      return same >= 5
    },
    { everyMs: 1000, deadlineMs: 180_000 }
  )
  t.ok(last * 65_536 < 100e6, `${last * 65_536} bytes are on their way, in the buffers of sockets and pipes`)
  t.ok(resident() - before < 200e6, 'all four processes together hold little of it')
  child.stdout!.resume()
  await eventually(() => progress() > last + 100)
}
