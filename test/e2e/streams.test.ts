import t, { type Test } from 'tap'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls'
import { pino } from 'pino'
import { createWebSocketStream, WebSocket } from 'ws'
import { startApi } from '@interlink-ts/interlink-api/server'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { startPlugin, type BackendModule } from '@interlink-ts/plugins/kit'
import { processBackend } from '@interlink-ts/plugins/process'
import { loadVkConfig } from '@interlink-ts/vk-core/config'
import { startVirtualNodes } from '@interlink-ts/vk-core/node'
import { encodeFrame } from '../../packages/vk-core/src/streams/spdy/frames.ts'
import { SpdyConnection } from '../../packages/vk-core/src/streams/spdy/index.ts'
import { HeaderCodec } from '../../packages/vk-core/src/streams/spdy/header-block.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { isAlive, startKubectl as start, ways } from '../support/kubectl-process.ts'
import { kubectlPath } from '../support/kubectl.ts'
import { onTerminal } from '../support/on-terminal.ts'
import { signalGroup } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack } from '../support/stack.ts'
import { onVirtualNode, shellPod } from './workloads.ts'

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** What the server that speaks first says. */
const spoken = 20_000_000

/**
 * Answers with the number of bytes and their hash, once the other side has ended its half; on the other port says
 * something and ends it, whatever the other side does.
 */
const echoServer = (port: number, speaks: number) => `
const { createServer } = require('node:net'), { createHash } = require('node:crypto')
createServer((socket) => socket.on('error', () => {}).end(Buffer.alloc(${spoken}, 'said'))).listen(${speaks}, '127.0.0.1')
createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0
  const hash = createHash('sha256')
  socket.on('data', (chunk) => { bytes += chunk.length; hash.update(chunk) })
  socket.on('end', () => socket.end(bytes + ' ' + hash.digest('hex')))
}).listen(${port}, '127.0.0.1')
`

t.test('on the real control plane', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const stack = await startStack({ kubeconfigPath: cluster.kubeconfigPath })
  t.teardown(() => stack.stop())
  await stack.up()
  const kubectl = async (args: readonly string[], input?: Buffer) => start(cluster.env, args, input).ended
  const apply = (object: object) => kubectl(['apply', '-f', '-'], Buffer.from(JSON.stringify(object)))
  const runs = async (name: string) => {
    const ready = await kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=180s'])
    if (ready.code !== 0)
      throw new Error(`${ready.stderr} ${(await kubectl(['describe', 'pod', name])).stdout.toString()}`)
  }
  const [port, speaks] = (await freePorts(2)) as [number, number]
  await apply(
    shellPod({
      name: 'box',
      metadata: { labels: { app: 'box' } },
      script: `exec '${process.execPath}' -e "$SERVER"`,
      spec: { terminationGracePeriodSeconds: 1, volumes: [{ name: 'data', emptyDir: {} }] },
      container: {
        env: [
          { name: 'WORD', value: 'two words' },
          { name: 'SERVER', value: echoServer(port, speaks) }
        ],
        ports: [{ name: 'echo', containerPort: port }],
        volumeMounts: [{ name: 'data', mountPath: '/data' }]
      }
    })
  )
  await runs('box')

  const kubeletPort = Number(
    (
      await kubectl([
        ...['get', 'node', stack.nodeName, '-o', 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}']
      ])
    ).stdout
  )
  const { cert, key } = cluster.admin
  const toKubelet = { host: '127.0.0.1', port: kubeletPort, cert, key, rejectUnauthorized: false }
  const metrics = () =>
    new Promise<string>((resolve, reject) =>
      request({ ...toKubelet, path: '/metrics' }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (part: string) => (text += part))
        answer.on('end', () => resolve(text))
      })
        .on('error', reject)
        .end()
    )

  for (const [way, variables] of Object.entries(ways))
    await t.test(`over ${way}`, async (t) => {
      const env = { ...cluster.env, ...variables }
      await overOneWay(t, { env, cluster, port, speaks })
    })

  await t.test('a pod of its own is used at once: kubectl run -i --rm', async (t) => {
    const spec = { automountServiceAccountToken: false, ...onVirtualNode }
    const run = (name: string, ...args: string[]) => [
      'run',
      name,
      '--rm',
      '--pod-running-timeout=5m',
      '--restart=Never',
      '--image=host',
      `--overrides=${JSON.stringify({ spec })}`,
      ...args
    ]
    const piped = await kubectl(
      run('piped', '-i', '--quiet', '--command', '--', 'sh', '-c', 'echo begin; cat; echo end; exit 4'),
      Buffer.from('middle\n')
    )
    t.match(piped.stdout.toString(), /^begin\nmiddle\nend\n/)
    t.equal(piped.code, 4)

    const terminal = onTerminal(
      [kubectlPath()!, ...run('typed', '-it', '--quiet', '--command', '--', 'sh', '-c')].concat(
        'tty; while read -r line; do echo "<$line> $(stty size)"; done; exit 5'
      ),
      cluster.env
    )
    t.teardown(() => terminal.kill())
    await terminal.shows(/\/dev\/pts\/\d+/)
    terminal.resize(101, 33)
    terminal.type('hello\n')
    await terminal.shows(/<hello> 33 101/)
    terminal.type('\u0004')
    t.equal(await terminal.ended, 5)
  })

  await t.test('attach joins a container that has a stdin, and leaves it running', async (t) => {
    await apply(
      shellPod({
        name: 'talker',
        script: 'while read -r line; do echo "out $line"; echo "err $line" >&2; done; sleep 1000',
        spec: { terminationGracePeriodSeconds: 1 },
        container: { stdin: true }
      })
    )
    await runs('talker')
    for (const word of ['one', 'two']) {
      const { child, ended, text } = start(cluster.env, ['attach', '-i', 'talker'], 'open')
      child.stdin!.write(`${word}\n`)
      await eventually(() => text().includes(`out ${word}\n`))
      child.stdin!.end()
      signalGroup(child, 'SIGTERM')
      const { stdout } = await ended
      t.notMatch(stdout.toString(), /err/)
    }
    t.equal(
      (await kubectl(['get', 'pod', 'talker', '-o', 'jsonpath={.status.phase}'])).stdout.toString(),
      'Running'
    )
    t.match((await kubectl(['logs', 'talker'])).stdout.toString(), /out one\n[^]*out two\n/)
  })

  await t.test('kubectl debug adds a container to a pod that runs', async (t) => {
    const dir = t.testdir({
      'mounts.json': JSON.stringify({ volumeMounts: [{ name: 'data', mountPath: '/mnt' }] })
    })
    const debug = (container: string, ...args: string[]) =>
      kubectl(['debug', 'box', '--image=host', `--container=${container}`, ...args])
    const stateOf = async (container: string) => {
      const { stdout } = await kubectl(['get', 'pod', 'box', '-o', 'json'])
      const { status } = JSON.parse(stdout.toString()) as Pod
      t.equal(status?.phase, 'Running')
      return status?.ephemeralContainerStatuses?.find(({ name }) => name === container)?.state ?? {}
    }
    const ended = (container: string) => eventually(async () => (await stateOf(container)).terminated)
    await kubectl(['exec', 'box', '--', 'sh', '-c', 'echo kept >/data/note'])

    const typed = onTerminal(
      [
        ...[kubectlPath()!, 'debug', '-it', 'box', '--image=host', '--container=typed', '--target=main'],
        ...['--profile=general', '--', 'sh', '-c', 'while read -r line; do echo "<$line>"; done; exit 5']
      ],
      cluster.env
    )
    t.teardown(() => typed.kill())
    await eventually(async () => (await stateOf('typed')).running)
    typed.type('hello\n')
    await typed.shows(/<hello>/)
    typed.type('\u0004')
    await typed.ended
    t.match(await ended('typed'), { exitCode: 5, reason: 'Error' })

    const custom = `--custom=${join(dir, 'mounts.json')}`
    const script = 'cat /mnt/note; pwd; until [ -e /mnt/over ]; do sleep 0.2; done; exit 7'
    const added = await debug('reader', custom, '--', 'sh', '-c', script)
    t.equal(added.code, 0, added.stderr)
    await eventually(async () => (await stateOf('reader')).running)
    const inside = await kubectl(['exec', 'box', '-c', 'reader', '--', 'cat', '/mnt/note'])
    t.equal(inside.stdout.toString(), 'kept\n')
    await kubectl(['exec', 'box', '--', 'touch', '/data/over'])
    t.match(await ended('reader'), { exitCode: 7, startedAt: String, finishedAt: String })
    t.equal((await kubectl(['logs', 'box', '-c', 'reader'])).stdout.toString(), 'kept\n/\n')

    t.equal((await debug('silent')).code, 0)
    await eventually(async () => (await stateOf('silent')).waiting?.reason === 'Refused')
    t.match((await stateOf('silent')).waiting?.message, /ephemeralContainers\[2\]\.command: .*give a command/)
    const { stdout } = await kubectl(['get', 'events', '--field-selector=reason=Refused'])
    t.match(stdout.toString(), /give a command/)

    await stack.kill('vk')
    await debug('late', custom, '--', 'sh', '-c', 'echo "$$" >>/mnt/late')
    await stack.restart('vk')
    t.match(await ended('late'), { exitCode: 0 })
    await stack.restart('vk')
    await debug('last', custom, '--', 'sh', '-c', 'exec wc -l </mnt/late')
    t.match(await ended('last'), { exitCode: 0 })
    t.equal((await kubectl(['logs', 'box', '-c', 'last'])).stdout.toString().trim(), '1', 'it was added once')
  })

  await t.test(
    'every session is a line of the log without arguments, and counted while it is open',
    async (t) => {
      const secret = randomBytes(8).toString('hex')
      t.equal((await kubectl(['exec', 'box', '--', 'echo', secret])).code, 0)
      const log = await eventually(async () => {
        const text = await stack.log('vk')
        return text.includes('"command":"echo"') && text
      })
      const line = log.split('\n').find((one) => one.includes('"command":"echo"'))!
      t.match(JSON.parse(line), {
        kind: 'exec',
        user: 'kube-apiserver-kubelet-client',
        namespace: 'default',
        pod: 'box',
        container: 'main',
        bytesOut: 17,
        outcome: 'Success',
        seconds: Number
      })
      for (const role of ['vk', 'api-0', 'api-1', 'plugin'] as const)
        t.notMatch(await stack.log(role), secret, `no argument in the log of ${role}`)
      const { child, ended } = start(cluster.env, ['exec', '-i', 'box', '--', 'cat'], 'open')
      await eventually(async () => /interlink_vk_streams\{kind="exec"\} 1/.test(await metrics()))
      child.stdin!.end()
      await ended
      await eventually(async () => /interlink_vk_streams\{kind="exec"\} 0/.test(await metrics()))
    }
  )

  await t.test('who may not create pods/exec gets nowhere', async (t) => {
    const must = async (...args: string[]) => t.equal((await kubectl(args)).code, 0, args.join(' '))
    await must('create', 'serviceaccount', 'reader')
    await must('create', 'role', 'reader', '--verb=get,list,create', '--resource=pods')
    await must('create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:reader')
    const as = ['--as=system:serviceaccount:default:reader', 'exec', 'box', '--', 'true']
    for (const variables of Object.values(ways)) {
      const refused = await start({ ...cluster.env, ...variables }, as).ended
      t.not(refused.code, 0)
      t.match(refused.stderr, /Forbidden|forbidden/)
    }
    await must('create', 'role', 'runner', '--verb=create,get', '--resource=pods/exec')
    await must('create', 'rolebinding', 'runner', '--role=runner', '--serviceaccount=default:reader')
    await eventually(async () => (await kubectl(as)).code === 0)

    await must('create', 'clusterrole', 'looker', '--verb=get', '--resource=nodes/proxy')
    await must(
      'create',
      'clusterrolebinding',
      'looker',
      '--clusterrole=looker',
      '--serviceaccount=default:reader'
    )
    const token = (await kubectl(['create', 'token', 'reader'])).stdout.toString().trim()
    const path = '/exec/default/box/main?command=id&output=1'
    const socket = new WebSocket(`wss://127.0.0.1:${kubeletPort}${path}`, ['v5.channel.k8s.io'], {
      headers: { authorization: `Bearer ${token}` },
      rejectUnauthorized: false
    })
    socket.on('error', () => {})
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
    t.equal(answer.statusCode, 403, 'reading nodes/proxy is not running commands')
    socket.terminate()
  })

  await t.test('a WebSocket that an API server passes on is served as it is', async (t) => {
    const path =
      '/exec/default/box/main?input=1&output=1&error=1&command=sh&command=-c&command=cat;echo+err+>%262;exit+9'
    for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io']) {
      const socket = new WebSocket(`wss://127.0.0.1:${kubeletPort}${path}`, [protocol], toKubelet)
      const said: Record<number, string> = {}
      socket.on(
        'message',
        (data: Buffer) => (said[data[0]!] = (said[data[0]!] ?? '') + data.subarray(1).toString())
      )
      await once(socket, 'open')
      t.equal(socket.protocol, protocol)
      socket.send(Buffer.from('\0typed'))
      await eventually(() => said[1] === 'typed')
      if (protocol.startsWith('v4')) {
        socket.close()
        continue
      }
      socket.send(Buffer.of(255, 0))
      await once(socket, 'close')
      t.equal(said[2], 'err\n')
      t.match(JSON.parse(said[3]!), {
        status: 'Failure',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '9' }] }
      })
    }
  })

  await t.test('a port-forward that an API server passes on is served as it is', async (t) => {
    const path = `wss://127.0.0.1:${kubeletPort}/portForward/default/box`
    const socket = new WebSocket(path, ['v2.portforward.k8s.io'], toKubelet)
    const tunnel = createWebSocketStream(socket)
    tunnel.on('error', () => {})
    await once(socket, 'open')
    const connection = new SpdyConnection(tunnel, { role: 'client' })
    const headers = { port: String(port), requestid: '0' }
    const error = connection.open({ ...headers, streamtype: 'error' })
    const data = connection.open({ ...headers, streamtype: 'data' })
    error.end()
    data.end('through the tunnel')
    t.equal(Buffer.concat(await data.toArray()).toString(), `18 ${sha(Buffer.from('through the tunnel'))}`)
    connection.destroy()
  })

  await t.test('logs -f follows all containers of a pod at once', async (t) => {
    const names = ['soprano', 'alto', 'bass']
    const sings = (name: string) =>
      `echo ${name} begins; until [ -e /data/go ]; do sleep 0.2; done; echo ${name} ends`
    const pod = shellPod({
      name: 'choir',
      script: 'exit 0',
      spec: { volumes: [{ name: 'data', emptyDir: {} }] }
    }) as { spec: { containers: object[] } }
    pod.spec.containers = names.map((name) => ({
      ...{ name, image: 'host', command: ['/bin/sh', '-c', sings(name)] },
      volumeMounts: [{ name: 'data', mountPath: '/data' }]
    }))
    await apply(pod)
    await runs('choir')
    const follow = ['logs', '-f', 'choir', '--all-containers', '--prefix', '--max-log-requests=3']
    const { text, ended } = start(cluster.env, follow)
    for (const name of names) await eventually(() => text().includes(`[pod/choir/${name}] ${name} begins\n`))
    t.notMatch(text(), /ends/)
    await kubectl(['exec', 'choir', '-c', 'alto', '--', 'touch', '/data/go'])
    t.equal((await ended).code, 0)
    for (const name of names) t.match(text(), `[pod/choir/${name}] ${name} ends\n`)
    const few = await kubectl(['logs', '-f', 'choir', '--all-containers', '--max-log-requests=2'])
    t.match(few.stderr, /max-log-requests/)
  })

  await t.test('a backend without streams is named in a plain refusal', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'interlink-plain-'))
    const log = pino({ level: 'silent' })
    const plain: BackendModule = {
      ...processBackend,
      name: 'plain',
      create(options, context) {
        const backend = processBackend.create(options, context)
        return {
          name: 'plain',
          check: () => backend.check(),
          render: (plan, dir) => backend.render(plan, dir),
          submit: (job) => backend.submit(job),
          find: (job) => backend.find(job),
          list: (jobs) => backend.list(jobs),
          cancel: (job, grace) => backend.cancel(job, grace)
        }
      }
    }
    const plugin = await startPlugin({
      module: plain,
      config: { listen: `unix://${join(dir, 'plugin.sock')}`, root: join(dir, 'jobs'), options: {} },
      log
    })
    const api = await startApi({
      listen: 'http://127.0.0.1:0',
      plugins: [{ name: 'plain', url: plugin.url }]
    })
    const config = await loadVkConfig({
      overrides: {
        kubeconfig: cluster.kubeconfigPath,
        interlink: { url: api.url },
        // No other pod is to come to it.
        nodes: [{ name: 'plain', address: '127.0.0.1', labels: { 'virtual-node.interlink/type': 'plain' } }],
        kubelet: { address: '127.0.0.1' },
        page: false
      }
    })
    const nodes = await startVirtualNodes(config, { log })
    t.teardown(async () => {
      await kubectl(['delete', 'pod', 'plain', '--grace-period=0', '--force'])
      await nodes.close()
      await kubectl(['delete', 'node', 'plain'])
      await api.close()
      await plugin.close()
      await rm(dir, { recursive: true, force: true })
    })
    await apply(
      shellPod({ name: 'plain', script: 'sleep 1000', spec: { nodeName: 'plain', nodeSelector: {} } })
    )
    await runs('plain')
    for (const variables of Object.values(ways))
      for (const [what, args] of Object.entries({
        exec: ['exec', 'plain', '--', 'true'],
        attach: ['attach', 'plain'],
        portforward: ['port-forward', 'plain', ':80']
      })) {
        const { code, stderr } = await start({ ...cluster.env, ...variables }, args).ended
        t.not(code, 0)
        t.match(stderr, new RegExp(`${what} is not offered by the backend plain of node plain`))
      }
    await kubectl(['debug', 'plain', '--image=host', '--container=look', '--', 'true'])
    const query = 'jsonpath={.status.ephemeralContainerStatuses[0].state.waiting}'
    const { reason, message } = await eventually(async () => {
      const { stdout } = await kubectl(['get', 'pod', 'plain', '-o', query])
      const state = JSON.parse(stdout.toString()) as { reason?: string; message?: string }
      return state.reason !== 'ContainerCreating' && state
    })
    t.equal(reason, 'NotSupported')
    t.match(message, /backend plain takes no ephemeral containers/)
  })

  await t.test('frames that are none harm nobody', async (t) => {
    const seconds = Number(process.env.STREAM_FUZZ_SECONDS ?? 15)
    const pid = stack.pid('vk')
    const sum = (text: string, family: string) =>
      [...text.matchAll(new RegExp(`^${family}(?:\\{.*\\})? (\\d+)$`, 'gm'))].reduce(
        (all, [, value]) => all + Number(value),
        0
      )
    const look = async () => {
      const text = await metrics()
      return {
        heap: sum(text, 'nodejs_heap_size_used_bytes'),
        resources: sum(text, 'nodejs_active_resources'),
        sessions: sum(text, 'interlink_vk_streams'),
        files: readdirSync(`/proc/${pid}/fd`).length
      }
    }
    await fuzz(toKubelet, 5)
    const before = await eventually(async () => {
      const now = await look()
      return now.sessions === 0 && now
    })
    await fuzz(toKubelet, seconds)
    // Garbage is collected when there is more of it.
    const after = await eventually(
      async () => {
        const now = await look()
        const isSettled =
          now.sessions === 0 && now.files <= before.files + 10 && now.resources <= before.resources + 10
        if (isSettled && now.heap < before.heap + 20e6) return now
        // What still closes is left alone meanwhile.
        if (isSettled) await fuzz(toKubelet, 1)
        throw new Error(`${JSON.stringify(now)} after ${JSON.stringify(before)}`)
      },
      { deadlineMs: 180_000, everyMs: 500 }
    )
    t.ok(before.heap > 0 && before.resources > 0, `${JSON.stringify(after)} after ${JSON.stringify(before)}`)
    t.equal(stack.pid('vk'), pid)
    process.kill(pid, 0)
    t.equal((await kubectl(['exec', 'box', '--', 'true'])).code, 0)
  })

  await t.test('what is not there, or does not run, is said before anything is opened', async (t) => {
    const said = async (...args: string[]) => {
      const { code, stderr } = await kubectl(args)
      t.not(code, 0, args.join(' '))
      return stderr
    }
    t.match(await said('exec', 'box', '-c', 'nobody', '--', 'true'), /nobody/)
    await apply(shellPod({ name: 'over', script: 'exit 0' }))
    await eventually(
      async () =>
        (await kubectl(['get', 'pod', 'over', '-o', 'jsonpath={.status.phase}'])).stdout.toString() ===
        'Succeeded'
    )
    t.match(await said('exec', 'over', '--', 'true'), /completed|not running/)
    t.match(await said('exec', 'box', '--', 'no-such-command'), /no-such-command|exit code 127/)
  })

  await t.test('of a backend that has not answered yet, the node does not say what it offers', async (t) => {
    await stack.kill('plugin')
    await stack.restart('vk')
    const exec = () => kubectl(['exec', 'box', '--', 'echo', 'here'])
    await eventually(async () => /has not answered yet/.test((await exec()).stderr))
    t.match((await kubectl(['describe', 'node', stack.nodeName])).stdout.toString(), /InterlinkPingFailed/)
    await stack.restart('plugin')
    await eventually(async () => (await exec()).stdout.toString() === 'here\n', { deadlineMs: 180_000 })
  })
})

/** Sessions of random and mutated frames, some at a time, in every protocol of the port. */
async function fuzz(to: TlsOptions, seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1000
  const codec = new HeaderCodec()
  const valid: Buffer[] = []
  for (const [index, streamtype] of ['error', 'stdin', 'stdout', 'data'].entries()) {
    const block = await codec.write({ streamtype, port: '1', requestid: '0' })
    const more = { associatedId: 0, priority: 0, fin: false, unidirectional: false, block }
    valid.push(...encodeFrame({ type: 'synStream', streamId: 2 * index + 1, ...more }))
  }
  valid.push(...encodeFrame({ type: 'data', streamId: 3, fin: false, data: Buffer.from('text') }))
  codec.close()
  const spdy = Buffer.concat(valid)
  const upgrades = [
    [
      '/exec/default/box/main?command=cat&input=1&output=1',
      'SPDY/3.1',
      'X-Stream-Protocol-Version: v4.channel.k8s.io'
    ],
    ['/portForward/default/box', 'SPDY/3.1', 'X-Stream-Protocol-Version: portforward.k8s.io'],
    ['/attach/default/box/main?output=1', 'websocket', 'Sec-WebSocket-Protocol: v5.channel.k8s.io'],
    ['/portForward/default/box', 'websocket', 'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io']
  ] as const
  const one = async () => {
    while (Date.now() < until) {
      const [path, protocol, header] = upgrades[randomInt(upgrades.length)]!
      const socket = connectTls(to)
      socket.on('error', () => {})
      socket.write(
        `${protocol === 'websocket' ? 'GET' : 'POST'} ${path} HTTP/1.1\r\nHost: n\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${header}\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
      )
      const bytes = randomInt(3) === 0 ? randomBytes(randomInt(1, 600)) : Buffer.from(spdy)
      for (let change = randomInt(8); change > 0; change--) bytes[randomInt(bytes.length)] = randomInt(256)
      socket.resume()
      await delay(randomInt(60))
      socket.write(bytes)
      await delay(randomInt(60))
      if (randomInt(2)) socket.end()
      else socket.destroy()
      if (!socket.destroyed) await Promise.race([once(socket, 'close'), delay(500)])
      socket.destroy()
    }
  }
  await Promise.all([one(), one(), one(), one()])
}

interface Way {
  readonly env: NodeJS.ProcessEnv
  readonly cluster: ControlPlane
  readonly port: number
  /** Of the server that speaks first. */
  readonly speaks: number
}

async function overOneWay(t: Test, { env, cluster, port, speaks }: Way): Promise<void> {
  const kubectl = (args: readonly string[], input?: Buffer) => start(env, args, input).ended

  await t.test('a command has its own output, errors, environment and exit code', async (t) => {
    const script = 'echo "$WORD"; echo err >&2; exit 7'
    const ran = await kubectl(['exec', 'box', '--', 'sh', '-c', script])
    t.equal(ran.stdout.toString(), 'two words\n')
    t.match(ran.stderr, /^err\n/)
    t.equal(ran.code, 7)
    const killed = await kubectl(['exec', 'box', '--', 'sh', '-c', 'kill -9 $$'])
    t.equal(killed.code, 137)
  })

  await t.test('words and bytes arrive as they are', async (t) => {
    const words = [`'"$(id)\`id\`;&|<>*?~#!\\ \t\n`, 'ä€🎉', '', '--', '%41+%00'.replace('%00', '')]
    const { stdout } = await kubectl(['exec', 'box', '--', 'printf', '<%s>', ...words])
    t.equal(stdout.toString(), words.map((word) => `<${word}>`).join(''))
    const bytes = randomBytes(3_000_000)
    const echoed = await kubectl(['exec', '-i', 'box', '--', 'cat'], bytes)
    t.equal(echoed.stdout.length, bytes.length)
    t.ok(echoed.stdout.equals(bytes))
    const hashed = await kubectl(['exec', '-i', 'box', '--', 'sha256sum', '/dev/stdin'], bytes)
    t.match(hashed.stdout.toString(), sha(bytes), 'its stdin can be opened by name')
  })

  await t.test('what is left in the background keeps nobody waiting', async (t) => {
    const { code, stdout } = await kubectl(['exec', 'box', '--', 'sh', '-c', 'sleep 1000 & echo $!'])
    t.equal(code, 0)
    const pid = Number(stdout.toString())
    t.ok(isAlive(pid), 'and goes on')
    process.kill(pid, 'SIGKILL')
  })

  await t.test('a terminal has a size, a new one when it is changed, and keys', async (t) => {
    const terminal = onTerminal(
      [
        kubectlPath()!,
        'exec',
        '-it',
        'box',
        '--',
        'sh',
        '-c',
        'stty size; while read -r line; do stty size; done; exit 3'
      ],
      env
    )
    t.teardown(() => terminal.kill())
    await terminal.shows(/24 80\r\n/)
    terminal.resize(120, 45)
    // kubectl hears of it by a signal, after which it may still be on its way.
    await eventually(async () => {
      terminal.type('\n')
      await terminal.shows(/45 120\r\n/, 1000)
      return true
    })
    terminal.type('\u0004')
    t.equal(await terminal.ended, 3)
    const sleeper = onTerminal(
      [kubectlPath()!, 'exec', '-it', 'box', '--', 'sh', '-c', 'echo up; sleep 1000'],
      env
    )
    t.teardown(() => sleeper.kill())
    await sleeper.shows(/up/)
    sleeper.type('\u0003')
    t.equal(await sleeper.ended, 130)
  })

  await t.test('a connection that is cut ends the command', async (t) => {
    for (const [how, script] of [
      ['waits', 'echo $$; exec sleep 1000'],
      ['is deaf to a hang-up', 'trap "" HUP TERM; echo $$; while :; do sleep 1; done'],
      ['reads', 'echo $$; exec cat']
    ] as const) {
      const { child, text } = start(env, ['exec', '-i', 'box', '--', 'sh', '-c', script], 'open')
      const pid = await eventually(() => Number(text()))
      t.ok(isAlive(pid))
      signalGroup(child, 'SIGKILL')
      await eventually(() => !isAlive(pid))
      t.pass(`a command that ${how}`)
    }
  })

  await t.test('cp takes 50 MB, directories, links and odd names both ways', async (t) => {
    const dir = t.testdir({})
    const there = join(dir, 'there')
    await mkdir(join(there, 'a directory', 'empty'), { recursive: true })
    const big = randomBytes(50_000_000)
    await writeFile(join(there, 'big'), big)
    await writeFile(join(there, 'a directory', `it's "odd" $HOME\n*`), 'text')
    await symlink('../big', join(there, 'a directory', 'link'))
    const target = `/data/${randomBytes(4).toString('hex')}`
    const put = await kubectl(['cp', there, `box:${target}`])
    t.equal(put.code, 0, put.stderr)
    const { stdout } = await kubectl([
      'exec',
      'box',
      '--',
      'sh',
      '-c',
      'cd "$1" && sha256sum big && readlink "a directory/link"',
      '-',
      target
    ])
    t.equal(stdout.toString(), `${sha(big)}  big\n../big\n`)
    // kubectl takes no links out of a pod, tar does.
    const back = join(dir, 'back')
    const got = await kubectl(['cp', `box:${target}`, back])
    t.equal(got.code, 0, got.stderr)
    t.equal(sha(await readFile(join(back, 'big'))), sha(big))
    t.same((await readdir(join(back, 'a directory'))).includes(`it's "odd" $HOME\n*`), true)
    t.ok((await lstat(join(there, 'a directory', 'link'))).isSymbolicLink())
    t.equal(await readlink(join(there, 'a directory', 'link')), '../big')
    await kubectl(['exec', 'box', '--', 'rm', '-rf', target])
  })

  await t.test('port-forward carries many connections at once, each with its own end', async (t) => {
    await start(cluster.env, ['expose', 'pod', 'box', `--port=${port}`, '--name=echo']).ended
    for (const what of ['pod/box', 'svc/echo']) {
      const { child, text, ended } = start(
        env,
        ['port-forward', '--address=127.0.0.1', what, `:${port}`],
        'open'
      )
      t.teardown(() => signalGroup(child, 'SIGKILL'))
      const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(text())?.[1]))
      const ask = async (bytes: Buffer) => {
        const socket = connect({ port: local, host: '127.0.0.1', allowHalfOpen: true })
        socket.end(bytes)
        let answer = ''
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
        await once(socket, 'end')
        return answer
      }
      const sent = Array.from({ length: 40 }, (_, index) => randomBytes(1 + index * 20_000))
      const answers = await Promise.all(sent.map(ask))
      t.same(
        answers,
        sent.map((bytes) => `${bytes.length} ${sha(bytes)}`),
        what
      )
      t.equal(child.exitCode, null)
      signalGroup(child, 'SIGTERM')
      const { stderr } = await ended
      t.notMatch(stderr, /error/i)
    }
    const speaker = start(env, ['port-forward', '--address=127.0.0.1', 'box', `:${speaks}`], 'open')
    t.teardown(() => signalGroup(speaker.child, 'SIGKILL'))
    const from = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(speaker.text())?.[1]))
    for (const isWhole of [true, false, false, true]) {
      const socket = connect({ port: from, host: '127.0.0.1' })
      if (isWhole) t.equal((await buffer(socket)).length, spoken, 'the end of who speaks first is told')
      else {
        await once(socket, 'data')
        socket.destroy()
      }
    }
    t.equal(speaker.child.exitCode, null, 'and who breaks off ends nobody else')
    signalGroup(speaker.child, 'SIGKILL')

    const { child, text, ended } = start(env, ['port-forward', '--address=127.0.0.1', 'box', ':1'], 'open')
    t.teardown(() => signalGroup(child, 'SIGKILL'))
    const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(text())?.[1]))
    await once(
      connect({ port: local, host: '127.0.0.1' })
        .resume()
        .on('error', () => {}),
      'close'
    )
    t.match((await ended).stderr, /port 1 .*ECONNREFUSED/s)
  })
}
