/** A backend over a real socket that does what the test says: it speaks the node's side of the interLink protocol. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ContainerStatus, Pod, PodCreateRequests, PodStatus } from '@interlink-ts/interlink-api/wire'

export const ours = ['status.batch', 'status.refs', 'watch', 'create.idempotent', 'delete.durable']

export interface Call {
  readonly op: string
  readonly uid: string
  readonly body: unknown
}

/** What to do with a call instead of the usual: an answer, or a lost connection. */
export type Fault = { readonly status: number; readonly body: unknown } | 'lose' | 'lose after'

export interface BackendDouble {
  readonly url: string
  readonly calls: Call[]
  readonly jobs: Map<string, PodStatus>
  /** Taken by the next calls of the operation, in order. */
  fail(op: string, ...faults: Fault[]): void
  /** Every container of the pod gets this state. */
  set(uid: string, state: ContainerStatus['state'], more?: Partial<PodStatus>): void
  /** The backend loses the job without a word. */
  forget(uid: string): void
  count(op: string): number
  close(): Promise<void>
}

export interface DoubleOptions {
  readonly capabilities?: readonly string[]
  /** What a new job says of itself. @default running */
  readonly state?: (pod: Pod) => ContainerStatus['state'] | undefined
  /** Whether a delete ends the job at once. @default true */
  readonly endsAtOnce?: boolean
  /** Answers a status call as a plugin would that knows the jobs. @default all that are asked for */
  readonly answer?: (asked: readonly PodStatus[]) => readonly PodStatus[]
  readonly port?: number
  readonly jobs?: Map<string, PodStatus>
}

export async function startBackend(options: DoubleOptions = {}): Promise<BackendDouble> {
  const { capabilities = ours, endsAtOnce = true } = options
  const jobs = options.jobs ?? new Map<string, PodStatus>()
  const calls: Call[] = []
  const faults = new Map<string, Fault[]>()
  const watchers = new Set<{ response: ServerResponse; node: string }>()
  let sequence = 0

  const tell = (line: object, node?: string) => {
    sequence++
    for (const watcher of watchers) {
      if (node === undefined || watcher.node === node) {
        watcher.response.write(`${JSON.stringify({ ...line, cursor: String(sequence) })}\n`)
      }
    }
  }
  const set: BackendDouble['set'] = (uid, state, more = {}) => {
    const job = jobs.get(uid)
    if (!job) return
    const status = {
      ...job,
      containers: job.containers.map((one) => ({ ...one, state, ready: state?.running !== undefined })),
      ...more
    }
    jobs.set(uid, status)
    tell({ type: 'status', status }, status.nodeName)
  }
  const gone = (uid: string) => {
    jobs.delete(uid)
    tell({ type: 'gone', UID: uid })
  }

  function create({ pod }: PodCreateRequests) {
    const uid = pod.metadata.uid ?? ''
    if (!jobs.has(uid)) {
      const state = options.state ? options.state(pod) : { running: { startedAt: new Date().toISOString() } }
      jobs.set(uid, {
        name: pod.metadata.name ?? '',
        namespace: pod.metadata.namespace ?? '',
        UID: uid,
        JID: `job-${jobs.size + 1}`,
        nodeName: pod.spec.nodeName ?? '',
        initContainers: [],
        containers: pod.spec.containers.map(({ name }) => ({ name, ...(state && { state }) }))
      })
      tell({ type: 'status', status: jobs.get(uid) }, pod.spec.nodeName)
    }
    return { PodUID: uid, PodJID: jobs.get(uid)?.JID }
  }

  function remove({ metadata }: Pod) {
    const uid = metadata.uid ?? ''
    if (endsAtOnce && jobs.has(uid)) {
      const finishedAt = new Date().toISOString()
      if (capabilities.includes('watch'))
        set(uid, { terminated: { exitCode: 143, reason: 'Error', finishedAt } })
      gone(uid)
    }
    return 'deleted'
  }

  function reply(op: string, body: unknown): unknown {
    if (op === 'create') return create(body as PodCreateRequests)
    if (op === 'delete') return remove(body as Pod)
    if (op === 'pinglink') return { status: 'ok', capabilities }
    if (op === 'getLogs') return 'a line of the log\n'
    const known = (body as Pod[]).flatMap(({ metadata }) => jobs.get(metadata.uid ?? '') ?? [])
    return options.answer ? options.answer(known) : known
  }

  function watch(url: URL, response: ServerResponse) {
    const node = url.searchParams.get('node') ?? ''
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    const send = (line: object) => response.write(`${JSON.stringify(line)}\n`)
    send({ type: 'reset' })
    for (const status of jobs.values()) {
      if (status.nodeName === node) send({ type: 'status', cursor: String(sequence), status })
    }
    send({ type: 'bookmark', cursor: String(sequence) })
    const watcher = { response, node }
    watchers.add(watcher)
    response.on('close', () => watchers.delete(watcher))
  }

  async function handle(request: IncomingMessage, response: ServerResponse) {
    const url = new URL(request.url ?? '/', 'http://backend')
    const op = url.pathname.slice(1)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const body = text ? (JSON.parse(text) as unknown) : undefined
    calls.push({ op, uid: uidOf(body), body })
    const fault = faults.get(op)?.shift()
    if (fault === 'lose') return request.socket.destroy()
    if (fault === 'lose after') {
      reply(op, body)
      return request.socket.destroy()
    }
    if (fault) {
      response.writeHead(fault.status, { 'content-type': 'application/json' })
      return response.end(JSON.stringify(fault.body))
    }
    if (op === 'watch') return watch(url, response)
    const answer = reply(op, body)
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  }

  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    jobs,
    fail: (op, ...list) => faults.set(op, [...(faults.get(op) ?? []), ...list]),
    set,
    forget: gone,
    count: (op) => calls.filter((call) => call.op === op).length,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

function uidOf(body: unknown): string {
  const pod = (body as { pod?: Pod } | undefined)?.pod ?? (Array.isArray(body) ? body[0] : body)
  return (pod as Pod | undefined)?.metadata?.uid ?? ''
}
