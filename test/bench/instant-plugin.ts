/**
 * A plugin process that answers at once: each pod runs as soon as it is created, and ends when it is told to.
 * It speaks the plugin side of the protocol with every capability, keeps all in memory and counts what it is asked.
 * Prints its URL, and takes orders on /control.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setInterval } from 'node:timers'
import type { PodRef, PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'

interface Job {
  status: PodStatus
  nodeName: string
  sequence: number
}

interface Watcher {
  node: string | null
  response: ServerResponse
}

const epoch = Date.now().toString(36)
const heartbeatMs = 10_000
const jobs = new Map<string, Job>()
const gone = new Map<string, { nodeName: string; sequence: number }>()
const watchers = new Set<Watcher>()
const counts = { create: 0, status: 0, ping: 0, delete: 0, logs: 0, watch: 0 }
const reported = new Set<string>()
const finishedAt: Record<string, number> = {}
let sequence = 0

const time = () => new Date().toISOString()
const cursor = (at = sequence) => `${epoch}-${at}`

function publish(node: string, line: object): void {
  const text = `${JSON.stringify(line)}\n`
  for (const watcher of watchers) {
    if (watcher.node === null || watcher.node === node) watcher.response.write(text)
  }
}

function update(job: Job, containers: PodStatus['containers']): void {
  job.status = { ...job.status, containers }
  job.sequence = ++sequence
  reported.add(job.status.UID)
  publish(job.nodeName, { type: 'status', cursor: cursor(), status: job.status })
}

function create({ pod }: RetrievedPodData): object {
  counts.create++
  const UID = pod.metadata.uid!
  if (!jobs.has(UID)) {
    const nodeName = pod.spec!.nodeName!
    const status: PodStatus = {
      name: pod.metadata.name!,
      namespace: pod.metadata.namespace!,
      UID,
      JID: String(sequence + 1),
      nodeName,
      containers: [],
      initContainers: []
    }
    const job = { status, nodeName, sequence }
    jobs.set(UID, job)
    update(
      job,
      pod.spec!.containers.map(({ name, image }) => ({
        name,
        image: image ?? '',
        imageID: '',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: time() } },
        lastState: {}
      }))
    )
  }
  return { PodUID: UID, PodJID: jobs.get(UID)!.status.JID }
}

function finish(UID: string): void {
  const job = jobs.get(UID)
  if (!job || job.status.containers.some(({ state }) => state?.terminated)) return
  finishedAt[UID] = Date.now()
  update(
    job,
    job.status.containers.map((container) => ({
      ...container,
      ready: false,
      started: false,
      state: {
        terminated: {
          exitCode: 0,
          reason: 'Completed',
          startedAt: container.state?.running?.startedAt,
          finishedAt: time()
        }
      }
    }))
  )
}

function remove({ metadata }: PodRef): string {
  counts.delete++
  const job = jobs.get(metadata.uid!)
  if (job) {
    finish(metadata.uid!)
    jobs.delete(metadata.uid!)
    gone.set(metadata.uid!, { nodeName: job.nodeName, sequence: ++sequence })
    publish(job.nodeName, { type: 'gone', cursor: cursor(), UID: metadata.uid })
  }
  return 'deleted'
}

function status(asked: readonly PodRef[]): unknown {
  if (asked.length === 0) {
    counts.ping++
    return {
      status: 'ok',
      backend: 'instant',
      capabilities: [
        'status.batch',
        'status.refs',
        'watch',
        'create.batch',
        'create.idempotent',
        'delete.durable'
      ]
    }
  }
  counts.status++
  return asked.flatMap(({ metadata }) => {
    const job = jobs.get(metadata.uid!)
    if (job) reported.add(metadata.uid!)
    return job ? [job.status] : []
  })
}

function watch(query: URLSearchParams, response: ServerResponse): void {
  counts.watch++
  const node = query.get('node')
  const [of, at] = (query.get('cursor') ?? '').split('-')
  const since = of === epoch ? Number(at) : 0
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  const send = (line: object) => response.write(`${JSON.stringify(line)}\n`)
  const mine = ({ nodeName, sequence }: { nodeName: string; sequence: number }) =>
    (node === null || nodeName === node) && sequence > since
  if (of !== epoch) send({ type: 'reset' })
  for (const [UID, job] of jobs) {
    if (!mine(job)) continue
    reported.add(UID)
    send({ type: 'status', cursor: cursor(since), status: job.status })
  }
  for (const [UID, end] of gone) if (mine(end)) send({ type: 'gone', cursor: cursor(since), UID })
  send({ type: 'bookmark', cursor: cursor() })
  const watcher = { node, response }
  watchers.add(watcher)
  response.on('close', () => watchers.delete(watcher))
}

/** Finishes running jobs, oldest first, so many a second; 0: all at once. */
function finishAll(perSecond: number): void {
  const waiting = [...jobs.keys()]
  if (perSecond === 0) return waiting.forEach(finish)
  const started = performance.now()
  let done = 0
  const timer = setInterval(() => {
    const due = Math.min(waiting.length, Math.floor(((performance.now() - started) / 1000) * perSecond))
    while (done < due) finish(waiting[done++]!)
    if (done === waiting.length) clearInterval(timer)
  }, 5)
}

function control(path: string, query: URLSearchParams): unknown {
  switch (path) {
    case '/control/counts':
      return { ...counts, jobs: jobs.size, watchers: watchers.size, reported: reported.size }
    case '/control/reset':
      reported.clear()
      return Object.assign(counts, { create: 0, status: 0, ping: 0, delete: 0, logs: 0, watch: 0 })
    case '/control/finish':
      return finishAll(Number(query.get('perSecond')))
    case '/control/finished':
      return finishedAt
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url!, 'http://plugin')
  if (pathname === '/watch') return watch(searchParams, response)
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as unknown) : undefined
  const reply = (): unknown => {
    switch (pathname) {
      case '/create':
        return Array.isArray(body)
          ? body.map((one) => ({ created: create(one as RetrievedPodData) }))
          : create(body as RetrievedPodData)
      case '/status':
        return status((body ?? []) as PodRef[])
      case '/delete':
        return remove(body as PodRef)
      case '/getLogs':
        counts.logs++
        return ''
      default:
        return control(pathname, searchParams)
    }
  }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(reply() ?? null))
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`)
    response.destroy()
  })
})
setInterval(() => {
  for (const { response } of watchers)
    response.write(`${JSON.stringify({ type: 'bookmark', cursor: cursor() })}\n`)
}, heartbeatMs)
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
