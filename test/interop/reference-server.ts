/**
 * A server that speaks the reference's protocol and nothing more, with the habits of its plugins: one pod per status
 * call, the answer before last for a while, no containers at first, 201, bare text.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

interface AskedPod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string }
  readonly spec: { readonly containers: readonly { readonly name: string }[] }
}

interface Job {
  readonly id: number
  readonly pod: AskedPod
  /** Of status answers about it. */
  answers: number
  state: object
}

export interface ReferenceServer {
  readonly url: string
  /** Calls by operation and name of the pod: `create a`. */
  readonly calls: readonly string[]
  /** Ends the job of the pod. */
  finish(name: string, exitCode: number): void
  close(): Promise<void>
}

/** For so long the answer to one pod's question is given to whoever asks. */
const staleMs = 700

/** Pods named `refused…` are not taken; deletions are, but only at the second try. */
export async function startReferenceServer(): Promise<ReferenceServer> {
  const jobs = new Map<string, Job>()
  const calls: string[] = []
  let cached: { readonly at: number; readonly answer: unknown } | undefined

  const say = (response: ServerResponse, status: number, body: string, type = 'text/plain') => {
    response.writeHead(status, { 'content-type': type })
    response.end(body)
  }
  const create = (body: unknown, response: ServerResponse) => {
    const [{ pod }] = [body].flat() as [{ pod: AskedPod }]
    const { name, uid } = pod.metadata
    if (name.startsWith('refused'))
      return say(
        response,
        500,
        'HTTP InterLink session 7: call exit status: 500. Body: sbatch: error: invalid account'
      )
    jobs.set(uid, { id: 100 + jobs.size, pod, answers: 0, state: { running: { startedAt: null } } })
    say(response, 201, JSON.stringify({ PodUID: uid, PodJID: String(jobs.get(uid)!.id) }), 'application/json')
  }
  const status = (asked: readonly AskedPod[], response: ServerResponse) => {
    if (asked.length === 0) return say(response, 200, 'up')
    if (!cached || Date.now() - cached.at > staleMs) {
      const job = jobs.get(asked[0]!.metadata.uid)
      cached = { at: Date.now(), answer: job ? [answerOf(job)] : null }
    }
    say(response, 200, JSON.stringify(cached.answer))
  }
  const answerOf = (job: Job) => {
    const { name, namespace, uid } = job.pod.metadata
    const known = job.answers++ > 0
    return {
      name,
      namespace,
      UID: uid,
      JID: String(job.id),
      containers: known ? job.pod.spec.containers.map((one) => ({ name: one.name, state: job.state })) : []
    }
  }
  const remove = ({ metadata: { uid, name } }: AskedPod, response: ServerResponse) => {
    if (calls.filter((call) => call === `delete ${name}`).length === 1)
      return say(response, 500, 'scancel: error: Socket timed out')
    jobs.delete(uid)
    say(response, 200, 'ok')
  }
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const operation = new URL(request.url ?? '/', 'http://x').pathname.slice(1)
    const sent = await text(request)
    const body = sent === '' ? [] : (JSON.parse(sent) as unknown)
    calls.push([operation, nameIn(body)].filter(Boolean).join(' '))
    if (operation === 'create') return create(body, response)
    if (operation === 'status') return status(body as AskedPod[], response)
    if (operation === 'delete') return remove(body as AskedPod, response)
    if (operation === 'getLogs') return say(response, 200, 'a line\n')
    if (operation === 'pinglink') return say(response, 200, '0')
    say(response, 404, '404 page not found\n')
  }
  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    finish: (name, exitCode) => {
      const job = [...jobs.values()].find(({ pod }) => pod.metadata.name === name)
      job!.state = { terminated: { exitCode, startedAt: null, finishedAt: null } }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

function nameIn(body: unknown): string | undefined {
  const [first] = [body].flat() as ({ pod?: AskedPod } & Partial<AskedPod>)[]
  return (first?.pod ?? first)?.metadata?.name
}
