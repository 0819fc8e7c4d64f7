import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { createServer, connect, type AddressInfo } from 'node:net'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { decode, type RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { percentile, round, type Figures } from './figures.ts'
import { startBackendProcess, startSlurmPluginProcess } from './backend-process.ts'

const MB = 1e6
const rounds = 3
const block = Buffer.alloc(64 * 1024, 'interlink')

/** Sessions of a plugin in a job of a real Slurm, against what srun and a socket do by themselves. */
export async function benchStreams(say: (text: string) => void, share: number): Promise<Figures> {
  const load = round(loadavg()[0]!, 2)
  const lab = await startSlurmLab({ nodes: 1, gpus: 0 })
  const plugin = await startSlurmPluginProcess(lab, 4)
  try {
    const { uid, jobId } = await idlePod(plugin.client)
    const step = ['--overlap', '--nodes=1', '--ntasks=1', '--mem=0', '--unbuffered', `--jobid=${jobId}`]
    const srun = (...command: string[]) =>
      spawn('srun', [...step, ...command], { env: lab.env, stdio: ['pipe', 'pipe', 'inherit'] })
    const exec = (command: string[], stdin = false) =>
      plugin.client.stream(uid, { kind: 'exec', container: 'main', command, stdin, tty: false })

    await (
      await exec(['true'])
    ).status
    const count = Math.max(10, Math.round(60 * share))
    const bare = await times(count, async () => {
      const child = srun('true')
      child.stdin.end()
      await once(child, 'exit')
    })
    const through = await times(count, async () => {
      const session = await exec(['true'])
      session.output.resume()
      session.errors.resume()
      await session.status
    })
    say(`exec of true: ${bare} ms by srun alone, ${through} ms by exec`)

    const copied = 50 * MB * share
    const putBare = await best(async () => {
      const child = srun('sh', '-c', 'cat >/dev/null')
      await Promise.all([send(copied, child.stdin), once(child, 'exit')])
    })
    const put = await best(async () => {
      const session = await exec(['sh', '-c', 'cat >/dev/null'], true)
      session.output.resume()
      await Promise.all([send(copied, session.input), session.status])
    })
    const getBare = await best(async () => {
      const child = srun('head', '-c', String(copied), '/dev/zero')
      child.stdin.end()
      await drain(child.stdout, copied)
    })
    const get = await best(async () => {
      const session = await exec(['head', '-c', String(copied), '/dev/zero'])
      await drain(session.output, copied)
    })
    say(
      `${copied / MB} MB in: ${rate(copied, put)} of ${rate(copied, putBare)} MB/s; out: ${rate(copied, get)} of ${rate(copied, getBare)}`
    )

    const forwarded = Math.round(2 ** 30 * share)
    const server = await startSender(forwarded)
    const { port } = server
    const forward = await timed(() => forwardAll(plugin.client, uid, port, forwarded))
    const forwardBare = await timed(async () => {
      const child = srun('head', '-c', String(forwarded), '/dev/zero')
      child.stdin.end()
      await drain(child.stdout, forwarded)
    })
    const socket = await timed(() => drain(connect(port, '127.0.0.1'), forwarded))
    const local = await benchLocalForward(port, forwarded)
    server.close()
    say(`port-forward on the plugin's machine: ${rate(forwarded, local)} MB/s`)
    say(
      `port-forward: ${rate(forwarded, forward)} MB/s, srun alone ${rate(forwarded, forwardBare)}, a socket ${rate(forwarded, socket)}`
    )

    const sessions = 100
    const idle = `100${process.pid}`
    const before = await memoryUnder(plugin.pid)
    const open = await Promise.all(Array.from({ length: sessions }, () => exec(['sleep', idle], true)))
    await eventually(async () => (await running(`sleep ${idle}`)) >= sessions, { deadlineMs: 60_000 })
    const during = await memoryUnder(plugin.pid)
    for (const session of open) session.destroy()
    say(
      `${sessions} sessions: ${round(during.here - before.here)} MB more here, ${round(during.there - before.there)} MB more on the node`
    )
    return {
      loadBefore: load,
      execTrueP50Ms: through,
      srunTrueP50Ms: bare,
      execOverSrun: round(through / bare, 2),
      copyInMBs: rate(copied, put),
      copyInOverSrun: round(putBare / put, 2),
      copyOutMBs: rate(copied, get),
      copyOutOverSrun: round(getBare / get, 2),
      forwardMBs: rate(forwarded, forward),
      forwardOverSrun: round(forwardBare / forward, 2),
      forwardOverSocket: round(socket / forward, 3),
      localForwardMBs: rate(forwarded, local),
      localForwardOverSocket: round(socket / local, 3),
      sessions,
      sessionsPluginMB: round(during.here - before.here),
      sessionsNodeMB: round(during.there - before.there)
    }
  } finally {
    await plugin.stop()
    await lab.close()
  }
}

/** The process backend, whose jobs are where it is. */
async function benchLocalForward(port: number, bytes: number): Promise<number> {
  const directory = temporaryDirectory('bench')
  const plugin = await startBackendProcess('process', directory.path)
  try {
    const { uid } = await idlePod(plugin.client)
    const took = await timed(() => forwardAll(plugin.client, uid, port, bytes))
    const pod = { metadata: { name: 'box', namespace: 'bench', uid } }
    await plugin.client.delete(pod)
    await eventually(async () => (await plugin.client.status([pod])).length === 0)
    return took
  } finally {
    await plugin.stop()
    await directory.remove()
  }
}

async function forwardAll(client: InterlinkClient, uid: string, port: number, bytes: number): Promise<void> {
  const session = await client.stream(uid, { kind: 'portforward', port })
  session.input.end()
  await drain(session.output, bytes)
}

/** Sends so many bytes to whoever connects. */
async function startSender(bytes: number) {
  const server = createServer(
    { allowHalfOpen: true },
    (socket) => void send(bytes, socket).catch(() => {})
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

async function idlePod(client: InterlinkClient): Promise<{ readonly uid: string; readonly jobId: string }> {
  const uid = randomUUID()
  const spec = {
    nodeName: 'bench',
    restartPolicy: 'Never',
    containers: [{ name: 'main', image: 'host', command: ['sleep', '100000'] }]
  }
  const metadata = { name: 'box', namespace: 'bench', uid }
  const { PodJID: jobId } = await client.create(
    decode('RetrievedPodData', { pod: { metadata, spec }, container: [] }) as RetrievedPodData
  )
  await eventually(
    async () => (await client.status([{ metadata }]))[0]?.containers[0]?.state?.running !== undefined,
    { deadlineMs: 60_000 }
  )
  return { uid, jobId }
}

const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await run()
  return performance.now() - began
}

const best = async (run: () => Promise<unknown>): Promise<number> => {
  const all: number[] = []
  for (let round = 0; round < rounds; round++) all.push(await timed(run))
  return Math.min(...all)
}

/** The median of so many, in ms. */
async function times(count: number, run: () => Promise<unknown>): Promise<number> {
  const all: number[] = []
  for (let turn = 0; turn < count; turn++) all.push(await timed(run))
  return round(percentile(all, 0.5))
}

const rate = (bytes: number, ms: number): number => round(bytes / MB / (ms / 1000))

const send = (bytes: number, to: Writable): Promise<void> => pipeline(Readable.from(blocks(bytes)), to)

function* blocks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length))
}

async function drain(from: Readable, expected: number): Promise<void> {
  let bytes = 0
  for await (const chunk of from) bytes += (chunk as Buffer).length
  if (bytes !== expected) throw new Error(`${bytes} of ${expected} bytes came`)
}

/** Proportional memory in MB: of the plugin and what it has started, and of what runs in the job but the commands. */
async function memoryUnder(plugin: number) {
  const all = await processes()
  const here = all.filter(({ pid, parents }) => pid === plugin || parents.includes(plugin))
  const inJob = all.filter(({ command }) => /hub\.pl|session\.pl/.test(command) && !/^srun/.test(command))
  const sum = async (some: readonly { pid: number }[]) =>
    (await Promise.all(some.map(({ pid }) => pssOf(pid)))).reduce((a, b) => a + b, 0)
  return {
    here: await sum(here),
    there: await sum(inJob.filter(({ pid }) => !here.some((one) => one.pid === pid)))
  }
}

const running = async (wanted: string): Promise<number> =>
  (await processes()).filter(({ command }) => command === wanted).length

async function processes() {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parent = new Map<number, number>()
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
      parent.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return { pid, command: command.replace(/\0$/, '').replaceAll('\0', ' ') }
    })
  )
  const parentsOf = (pid: number): number[] => {
    const up = parent.get(pid)
    return up ? [up, ...parentsOf(up)] : []
  }
  return found.map((one) => ({ ...one, parents: parentsOf(one.pid) }))
}

const pssOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  return ((Number(/^Pss:\s+(\d+)/m.exec(text)?.[1]) || 0) * 1024) / MB
}
