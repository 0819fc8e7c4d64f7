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
import { provideMetrics } from '../support/metrics-server.ts'
import { onTerminal } from '../support/on-terminal.ts'
import { signalGroup, spawnReaped } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { slurms, slurmUnprepared } from './each-slurm.ts'
import { imageLabMissing, startImageLab } from './image-lab.ts'
import { startSlurmCluster, stateOf } from './slurm-cluster.ts'

const ways = [
  { name: 'behind SSH', ssh: true, prefix: slurms[1].prefix },
  { name: 'of this machine', ssh: false, prefix: slurms[0].prefix }
]

for (const { name, ssh, prefix } of ways)
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
    const { apply, until, kubectl, events } = await startSlurmCluster(t, ground.options, 'interlink', cluster)
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'box' },
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
          }
        ]
      }
    })
    await until('box', (status) => stateOf(status, 'running'), 120_000)

    await t.test('exec', async (t) => {
      const ran = await kubectl(['exec', 'box', '--', 'sh', '-c', 'echo "$WORD"; echo err >&2; exit 7'])
      t.equal(ran.stdout, 'two words\n')
      t.match(ran.stderr, /^err\n/)
      t.equal(ran.code, 7)
      const shell = onTerminal([kubectlPath()!, 'exec', '-it', 'box', '--', 'sh'], cluster.env)
      t.teardown(() => shell.kill())
      await shell.shows(/Apptainer> /)
      shell.type('test -t 0 && stty size; exit 4\n')
      await shell.shows(/\d+ \d+\r\n/)
      t.equal(await shell.ended, 4)
    })

    await t.test('cp', async (t) => {
      const dir = t.testdir({})
      const there = join(dir, 'there')
      await mkdir(join(there, 'a directory'), { recursive: true })
      const big = randomBytes(5_000_000)
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
      const { port } = server.address() as AddressInfo
      const child = spawnReaped(kubectlPath()!, ['port-forward', '--address=127.0.0.1', 'box', `:${port}`], {
        env: cluster.env,
        stdio: ['ignore', 'pipe', 'inherit']
      })
      t.teardown(() => signalGroup(child, 'SIGKILL'))
      let said = ''
      child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const local = Number(await eventually(() => /127\.0\.0\.1:(\d+)/.exec(said)?.[1]))
      const sent = Array.from({ length: 20 }, (_, index) => randomBytes(1 + index * 20_000))
      const echoes = await Promise.all(
        sent.map((bytes) => {
          const socket = connect({ port: local, host: '127.0.0.1', allowHalfOpen: true })
          socket.end(bytes)
          return buffer(socket)
        })
      )
      for (const [index, bytes] of sent.entries()) t.ok(echoes[index]!.equals(bytes))
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
      await eventually(() => runs('typed'), { deadlineMs: 120_000 })
      shell.type('cat /mnt/note; exit 4\n')
      await shell.shows(/kept\r\n/)
      await shell.ended
      t.match(await eventually(async () => (await state('typed')).terminated), { exitCode: 4 })

      await kubectl([...debug('piped'), '--', 'sh', '-c', 'cat /mnt/note; exit 6'])
      t.match(await eventually(async () => (await state('piped')).terminated, { deadlineMs: 120_000 }), {
        exitCode: 6,
        startedAt: String,
        finishedAt: String
      })
      t.equal((await kubectl(['logs', 'box', '-c', 'piped'])).stdout, 'kept\n')
      await kubectl(['debug', 'box', '--image=host', '-c', 'beside', '--', 'sh', '-c', 'exec sleep 1000'])
      await eventually(() => runs('beside'), { deadlineMs: 120_000 })
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
        { deadlineMs: 120_000, everyMs: 1000 }
      )
      t.ok(found, 'each container has its figures')
      t.ok(parseInt(found?.[2] ?? '') < 50, 'who waits uses nothing')
      t.ok(
        parseInt((await kubectl(['top', 'node', 'interlink', '--no-headers'])).stdout.split(/\s+/)[1]!) >= 50
      )
    })

    await t.test('attach', async (t) => {
      const { stdout } = await kubectl(['attach', '-i', 'box'], { input: 'typed\nbye\n' })
      t.match(stdout, /<typed>/)
    })

    await eventually(async () => {
      const { stdout } = await kubectl(['describe', 'node', 'interlink'])
      return /slurm \S+ answers; exec and port-forward by srun\n/.test(stdout)
    })
  })
