import t from 'tap'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer, connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { kubectlPath } from '../support/kubectl.ts'
import { startKubectl } from '../support/kubectl-process.ts'
import { provideMetrics } from '../support/metrics-server.ts'
import { onTerminal } from '../support/on-terminal.ts'
import { signalGroup } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { slurms, slurmUnprepared } from './each-slurm.ts'
import { imageLabMissing, startImageLab } from './image-lab.ts'
import { startSlurmCluster, stateOf } from './slurm-cluster.ts'

const callHome = { via: ['call-home'], callHome: { listen: 'http://127.0.0.1:0' } }
const ways = [
  { name: 'behind SSH', ssh: true, prefix: slurms[1].prefix, by: 'srun' },
  { name: 'of this machine', ssh: false, prefix: slurms[0].prefix, by: 'srun' },
  {
    name: 'whose jobs nobody reaches',
    ssh: false,
    prefix: slurms[0].prefix,
    by: 'call-home',
    streams: callHome
  }
]

for (const { name, ssh, prefix, by, streams } of ways)
  t.test(`kubectl goes into a container on a node of Slurm ${name}`, async (t) => {
    if (!requireReal(t, slurmUnprepared(prefix) ?? imageLabMissing(ssh, prefix) ?? controlPlaneUnavailable()))
      return
    const [ground, cluster] = await Promise.all([
      startImageLab({ ssh, prefix }),
      startControlPlane({
        scheduler: false,
        // An ExternalName may be this machine; endpoints may not.
        flags: { 'kube-apiserver': ['--enable-aggregator-routing=false'] }
      })
    ])
    t.teardown(() => ground.close())
    t.teardown(() => cluster.stop())
    const { apply, until, kubectl, events } = await startSlurmCluster(
      t,
      { ...ground.options, ...(streams && { streams }) },
      'interlink',
      cluster
    )
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'box',
        labels: { app: 'box' },
        annotations: { 'kubectl.kubernetes.io/default-container': 'main' }
      },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        nodeName: 'interlink',
        volumes: [{ name: 'data', emptyDir: {} }],
        containers: [
          {
            name: 'main',
            image: ground.image,
            command: ['/bin/sh', '-c', 'while read -r line && [ "$line" != bye ]; do echo "<$line>"; done'],
            stdin: true,
            env: [{ name: 'WORD', value: 'two words' }],
            volumeMounts: [{ name: 'data', mountPath: '/data' }]
          },
          {
            name: 'other',
            image: ground.image,
            command: ['/bin/sh', '-c', 'echo begins; until [ -e /data/over ]; do sleep 0.5; done; echo ends'],
            volumeMounts: [{ name: 'data', mountPath: '/data' }]
          }
        ]
      }
    })
    await until('box', (status) => stateOf(status, 'running'))

    await t.test('exec', async (t) => {
      const ran = await kubectl(['exec', 'box', '--', 'sh', '-c', 'echo "$WORD"; echo err >&2; exit 7'])
      t.equal(ran.stdout, 'two words\n')
      t.match(ran.stderr, /^err\n/)
      t.equal(ran.code, 7)
      const shell = onTerminal([kubectlPath()!, 'exec', '-it', 'box', '--', 'sh'], cluster.env)
      t.teardown(() => shell.kill())
      await shell.shows(/Apptainer> /)
      shell.resize(101, 33)
      await eventually(async () => {
        shell.type('test -t 0 && stty size\n')
        await shell.shows(/33 101\r\n/, 1000)
        return true
      })
      shell.type('exit 4\n')
      t.equal(await shell.ended, 4)
      const bytes = randomBytes(1_000_000)
      const words = [`'"$(id)\`id\`;&|<>*?~#!\\ \t\n`, 'ä', '', '--']
      const hostile = await kubectl(['exec', 'box', '--', 'printf', '<%s>', ...words])
      t.equal(hostile.stdout, words.map((word) => `<${word}>`).join(''))
      const piped = startKubectl(cluster.env, ['exec', '-i', 'box', '--', 'cat'], bytes)
      t.ok((await piped.ended).stdout.equals(bytes), 'the end of stdin is told')
    })

    await t.test('cp', async (t) => {
      const dir = t.testdir({})
      const there = join(dir, 'there')
      await mkdir(join(there, 'a directory'), { recursive: true })
      const big = randomBytes(50_000_000)
      await writeFile(join(there, 'big'), big)
      await symlink('../big', join(there, 'a directory', 'link'))
      // kubectl itself takes names for patterns of path/filepath: no backslash, no bracket.
      const odd = [' a  b ', '-n', '$(id)', "'", '"', 'a\nb', 'ü\u0007', '#', '%2f', '`id`', ';id']
      for (const name of odd) await writeFile(join(there, 'a directory', name), name)
      const put = await kubectl(['cp', there, 'box:/data/there'])
      t.equal(put.code, 0, put.stderr)
      t.equal(
        (await kubectl(['exec', 'box', '--', 'readlink', '/data/there/a directory/link'])).stdout,
        '../big\n'
      )
      const got = await kubectl(['cp', 'box:/data/there', join(dir, 'back')])
      t.equal(got.code, 0, got.stderr)
      t.ok((await readFile(join(dir, 'back', 'big'))).equals(big))
      for (const name of odd)
        t.equal(await readFile(join(dir, 'back', 'a directory', name), 'utf8'), name, JSON.stringify(name))
    })

    await t.test('port-forward', async (t) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
      server.listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await once(server, 'listening')
      const speaker = createServer((socket) => socket.on('error', () => {}).end(Buffer.alloc(3_000_000)))
      speaker.listen(0, '127.0.0.1')
      t.teardown(() => speaker.close())
      await once(speaker, 'listening')
      const [port, said] = [server, speaker].map((one) => (one.address() as AddressInfo).port) as [
        number,
        number
      ]
      const forward = async (what: string, to: number) => {
        const { child, text } = startKubectl(
          cluster.env,
          ['port-forward', '--address=127.0.0.1', what, `:${to}`],
          'open'
        )
        t.teardown(() => signalGroup(child, 'SIGKILL'))
        return Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(text())?.[1]))
      }
      t.equal((await kubectl(['expose', 'pod', 'box', '--name=echo', `--port=${port}`])).code, 0)
      for (const what of ['pod/box', 'svc/echo']) {
        const local = await forward(what, port)
        const sent = Array.from({ length: 20 }, (_, index) => randomBytes(1 + index * 20_000))
        const echoes = await Promise.all(
          sent.map((bytes) => {
            const socket = connect({ port: local, host: '127.0.0.1', allowHalfOpen: true })
            socket.end(bytes)
            return buffer(socket)
          })
        )
        for (const [index, bytes] of sent.entries()) t.ok(echoes[index]!.equals(bytes), what)
      }
      const from = await forward('box', said)
      const whole = await buffer(connect({ port: from, host: '127.0.0.1' }))
      t.equal(whole.length, 3_000_000, 'the end of who speaks first is told')
    })

    await t.test('debug', async (t) => {
      const dir = t.testdir({ 'mounts.json': '{"volumeMounts":[{"name":"data","mountPath":"/mnt"}]}' })
      const debug = (container: string) => [
        ...['debug', 'box', `--image=${ground.image}`, '--profile=general', `--container=${container}`],
        `--custom=${join(dir, 'mounts.json')}`
      ]
      const state = async (container: string) => {
        const { stdout } = await kubectl(['get', 'pod', 'box', '-o', 'json'])
        const { ephemeralContainerStatuses = [] } = (JSON.parse(stdout) as Pod).status ?? {}
        return ephemeralContainerStatuses.find(({ name }) => name === container)?.state ?? {}
      }
      await kubectl(['exec', 'box', '--', 'sh', '-c', 'echo kept >/data/note'])
      const args = [...debug('typed'), '-it', '--target=main', '--', 'sh']
      const shell = onTerminal([kubectlPath()!, ...args], cluster.env)
      t.teardown(() => shell.kill())
      const runs = async (name: string) => {
        const now = await state(name)
        if (!now.running) throw new Error(JSON.stringify(now))
        return true
      }
      await eventually(() => runs('typed'))
      shell.type('cat /mnt/note; exit 4\n')
      await shell.shows(/kept\r\n/)
      await shell.ended
      t.match(await eventually(async () => (await state('typed')).terminated), { exitCode: 4 })

      await kubectl([...debug('piped'), '--', 'sh', '-c', 'cat /mnt/note; exit 6'])
      t.match(await eventually(async () => (await state('piped')).terminated), {
        exitCode: 6,
        startedAt: String,
        finishedAt: String
      })
      t.equal((await kubectl(['logs', 'box', '-c', 'piped'])).stdout, 'kept\n')
      await kubectl(['debug', 'box', '--image=host', '-c', 'beside', '--', 'sh', '-c', 'exec sleep 1000'])
      await eventually(() => runs('beside'))
      await eventually(async () => (await events('box')).some((event) => /ProcessesNotShared/.test(event)))
      t.equal((await kubectl(['exec', 'box', '-c', 'beside', '--', 'pwd'])).stdout, '/\n')
    })

    await t.test('top', async (t) => {
      await provideMetrics(t, kubectl, 'interlink')
      const busy = 'exec perl -e \'$x = "x" x 100_000_000; 1 while 1\''
      const custom = ['debug', 'box', '--image=host', '-c', 'busy', '--', 'sh', '-c', busy]
      t.equal((await kubectl(custom)).code, 0)
      const found = await eventually(
        async () => {
          const { stdout } = await kubectl(['top', 'pod', 'box', '--containers', '--no-headers'])
          const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/))
          const of = (name: string) => rows.find(([, container]) => container === name)
          const [, , cpu = '', memory = ''] = of('busy') ?? []
          if (parseInt(cpu) < 50 || !(parseInt(memory) >= 90)) throw new Error(stdout)
          return of('main')
        },
        { deadlineMs: 180_000, everyMs: 1000 }
      )
      t.ok(found, 'each container has its figures')
      t.ok(parseInt(found?.[2] ?? '') < 50, 'who waits uses nothing')
      await eventually(async () => {
        const { stdout } = await kubectl(['top', 'node', 'interlink', '--no-headers'])
        return parseInt(stdout.split(/\s+/)[1]!) >= 50
      })
    })

    await t.test('attach', async (t) => {
      const follow = startKubectl(cluster.env, [
        ...['logs', '-f', 'box', '--all-containers', '--prefix', '--max-log-requests=10', '--ignore-errors']
      ])
      await eventually(() => follow.text().includes('[pod/box/other] begins\n'))
      t.notMatch(follow.text(), /<typed>|\] ends/)
      const { stdout } = await kubectl(['attach', '-i', 'box'], { input: 'typed\nbye\n' })
      t.match(stdout, /<typed>/)
      await eventually(() => follow.text().includes('[pod/box/main] <typed>\n'))
      await kubectl(['exec', 'box', '-c', 'other', '--', 'touch', '/data/over'])
      await follow.ended
      t.match(follow.text(), /\[pod\/box\/other\] ends\n/, 'logs -f follows all containers')
    })

    await eventually(async () => {
      const { stdout } = await kubectl(['describe', 'node', 'interlink'])
      return stdout.includes(` answers; exec and port-forward by ${by}\n`)
    })
  })
