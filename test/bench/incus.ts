import { join } from 'node:path'
import { createServer, connect } from 'node:net'
import { loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { startPlugin } from '@interlink-ts/plugins/kit'
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
  const incus = new IncusConnection({ url: `unix://${lab.socket}` })
  const counted = await countRequests(join(lab.dir, 'counted.sock'), lab.socket)
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
  const remove = async (name: string) => {
    await incus
      .change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'stop', force: true } })
      .catch(() => {})
    await incus.change('DELETE', `/1.0/instances/${name}`)
  }
  const bare = async (name: string, start = true) => {
    const began = performance.now()
    await incus.change('POST', '/1.0/instances', { json: { name, type: 'container', source, config } })
    if (start) await incus.change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'start' } })
    return performance.now() - began
  }
  const running = async (pod: ReturnType<typeof incusPod>) => {
    const began = performance.now()
    await client.create(pod)
    const created = performance.now() - began
    for (;;) {
      const [status] = await client.status([refOf(pod)])
      if (status?.containers[0]?.state?.running) return { created, all: performance.now() - began }
      await delay(5)
    }
  }
  try {
    const times = { bare: [] as number[], created: [] as number[], all: [] as number[] }
    // One after the other in turn, so that what else the machine does is in both.
    for (let at = 0; at < pods; at++) {
      times.bare.push(await bare(`bare-${at}`))
      await remove(`bare-${at}`)
      const pod = incusPod('sleep 600', { spec: { terminationGracePeriodSeconds: 0 } })
      const { created, all } = await running(pod)
      times.created.push(created)
      times.all.push(all)
      await client.delete(refOf(pod))
      for (; (await client.status([refOf(pod)])).length > 0;) await delay(50)
    }
    const [bareMs, createMs, runningMs] = [times.bare, times.created, times.all].map((all) =>
      percentile(all, 0.5)
    ) as [number, number, number]
    say(`bare ${round(bareMs)} ms, create ${round(createMs)} ms, running ${round(runningMs)} ms`)
    for (let at = 0; at < many; at++) await bare(`many-${at}`, false)
    const pod = incusPod('sleep 600', { spec: { terminationGracePeriodSeconds: 0 } })
    await running(pod)
    await delay(3000)
    const before = counted.lists()
    const others = counted.requests()
    await delay(10_000)
    const lists = counted.lists() - before
    say(`${many} instances: ${lists} lists in 10 s`)
    return {
      loadBefore,
      pods,
      bareCreateStartMs: round(bareMs),
      createMs: round(createMs),
      createToRunningMs: round(runningMs),
      createTimesBare: round(createMs / bareMs, 2),
      createToRunningTimesBare: round(runningMs / bareMs, 2),
      instances: many + 1,
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
