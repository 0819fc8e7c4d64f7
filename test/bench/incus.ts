import { join } from 'node:path'
import { createServer, connect } from 'node:net'
import { loadavg } from 'node:os'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { startPlugin } from '@interlink-ts/plugins/kit'
import { exec } from '../../packages/plugins/src/incus/rest/exec.ts'
import { IncusConnection } from '../../packages/plugins/src/incus/rest/incus-connection.ts'
import { incusPod } from '../incus/incus-plugin.ts'
import { refOf } from '../slurm/slurm-plugin.ts'
import { percentile, round, type Figures } from './figures.ts'

const config = { 'boot.autostart': 'false' }
const source = { type: 'image', alias: 'busybox' }

/** A private Incus with the plugin in this process; busybox, which is there. `share` of all sizes. */
export async function benchIncus(say: (text: string) => void, share: number): Promise<Figures> {
  const loadBefore = round(loadavg()[0]!, 2)
  const pods = Math.max(5, Math.round(30 * share))
  const many = Math.max(10, Math.round(200 * share))
  const lab = await startIncusLab()
  const counted = await countRequests(join(lab.dir, 'counted.sock'), lab.socket)
  const incus = new IncusConnection({ url: `unix://${counted.path}` })
  const plugin = await startPlugin({
    module: incusBackend,
    config: {
      listen: `unix://${join(lab.dir, 'plugin.sock')}`,
      root: join(lab.dir, 'jobs'),
      options: { url: `unix://${counted.path}` },
      listSeconds: 1,
      idleListSeconds: 1
    },
    log: pino({ level: 'silent' })
  })
  const client = createInterlinkClient({ url: plugin.url, verbs: 'plugin' })
  const [started, bared, created, ran]: [number[], number[], number[], number[]] = [[], [], [], []]
  const make = (name: string) =>
    incus.change('POST', '/1.0/instances', { json: { name, type: 'container', source, config } })
  /** The calls that have a program run in an instance: made, started, the program begun. */
  const bare = async (name: string) => {
    const began = performance.now()
    await make(name)
    await incus.change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'start' } })
    started.push(performance.now() - began)
    const program = await exec(incus, name, { command: ['/bin/sh', '-c', 'echo runs; exec sleep 600'] })
    program.stderr.resume()
    await once(program.stdout, 'data')
    bared.push(performance.now() - began)
    program.close()
    await program.exited.catch(() => {})
  }
  const running = async () => {
    const pod = incusPod('sleep 600', { spec: { terminationGracePeriodSeconds: 0 } })
    const began = performance.now()
    await client.create(pod)
    created.push(performance.now() - began)
    for (;;) {
      const [status] = await client.status([refOf(pod)])
      if (status?.containers[0]?.state?.running) break
      await delay(1)
    }
    ran.push(performance.now() - began)
  }
  try {
    // In turn, so that what else the machine does is in both; each follows the other as often. Nothing is removed
    // meanwhile: for minutes, ext4 passes over the inodes of what was, one by one, whoever makes the next instance.
    for (let at = 0; at < pods; at++) {
      const turn = [() => bare(`bare-${at}`), running]
      for (const one of at % 2 === 0 ? turn : turn.reverse()) await one()
    }
    const [startedMs, bareMs, createMs, runningMs] = [started, bared, created, ran].map((all) =>
      percentile(all, 0.5)
    ) as [number, number, number, number]
    say(
      `bare: started ${round(startedMs)} ms, program ${round(bareMs)} ms; pod: create ${round(createMs)} ms, running ${round(runningMs)} ms`
    )
    for (let at = 0; at < many; at++) await make(`many-${at}`)
    await delay(3000)
    const before = counted.lists()
    const others = counted.requests()
    await delay(10_000)
    const lists = counted.lists() - before
    say(`${many} instances: ${lists} lists in 10 s`)
    return {
      loadBefore,
      pods,
      bareStartedMs: round(startedMs),
      bareMs: round(bareMs),
      createMs: round(createMs),
      createToRunningMs: round(runningMs),
      createToRunningTimesBare: round(runningMs / bareMs, 2),
      createToRunningTimesStarted: round(runningMs / startedMs, 2),
      instances: many + 2 * pods,
      listsPerSecond: round(lists / 10, 2),
      otherRequestsPerSecond: round((counted.requests() - others - lists) / 10, 2)
    }
  } finally {
    await client.close()
    await plugin.close()
    await incus.close()
    counted.close()
    await lab.close()
  }
}

/** A socket before another one that counts the requests that go through it. */
async function countRequests(path: string, to: string) {
  let [lists, requests] = [0, 0]
  const server = createServer((socket) => {
    const far = connect(to)
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1')
      lists += text.match(/GET \/1\.0\/instances\?/g)?.length ?? 0
      requests += text.match(/^(GET|POST|PUT|PATCH|DELETE) \/1\.0/gm)?.length ?? 0
    })
    for (const one of [socket, far]) one.on('error', () => {})
    socket.on('close', () => far.destroy())
    far.on('close', () => socket.destroy())
    socket.pipe(far).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return { path, lists: () => lists, requests: () => requests, close: () => server.close() }
}
