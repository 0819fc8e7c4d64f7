import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { startDevCluster, type DevCluster, type DevClusterOptions } from '../src/index.ts'

export interface Answer {
  code: number
  stdout: string
  stderr: string
}

type Obj = Record<string, unknown>

/** Any JSON that a test looks into. */
export interface Loose {
  [key: string]: Loose
}

export interface Fixture {
  cluster: DevCluster
  ca: string
  /** Calls the API; the parsed body of the answer. */
  api(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  /** Opens a watch; lines are collected until the test ends. */
  watch(path: string): Promise<Watching>
  kubectl(args: string, input?: string): Promise<Answer>
  /** A kubectl that runs until the test ends; what it has printed so far. */
  following(args: string): () => string
}

export interface Reply {
  status: number
  body: Loose
  headers: IncomingMessage['headers']
}

export interface Watching {
  events: { type: string; object: Loose }[]
  ended: Promise<void>
  close(): void
}

/** Why tests that need kubectl are skipped; false where they run, or where they must. */
export const withoutKubectl: string | false =
  process.env.REQUIRE_REAL === '1' ||
  (process.env.PATH ?? '').split(delimiter).some((dir) => existsSync(join(dir, 'kubectl')))
    ? false
    : 'there is no kubectl on the path'

/** A cluster of the test's own, closed at its end. */
export async function devCluster(t: Test, options?: DevClusterOptions): Promise<Fixture> {
  const dir = await mkdtemp(join(tmpdir(), 'dev-cluster-'))
  const kubeconfigPath = join(dir, 'kubeconfig')
  const cluster = await startDevCluster({ ...options, kubeconfigPath })
  t.teardown(async () => {
    await cluster.close()
    await rm(dir, { recursive: true })
  })
  const config = parse(cluster.kubeconfig) as {
    clusters: { cluster: { 'certificate-authority-data': string } }[]
  }
  const ca = Buffer.from(config.clusters[0]!.cluster['certificate-authority-data'], 'base64').toString()
  const env = { ...process.env, KUBECONFIG: kubeconfigPath, KUBECACHEDIR: join(dir, 'cache') }
  const open = (path: string, more: RequestOptions, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const { headers, ...rest } = more
      request(
        cluster.url + path,
        { ca, headers: { authorization: `Bearer ${cluster.token}`, ...headers }, ...rest },
        resolve
      )
        .once('error', reject)
        .end(body)
    })
  return {
    cluster,
    ca,
    async api(method, path, body, headers = {}) {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const text = body === undefined ? '' : JSON.stringify(body)
      const framed = { 'content-type': type, 'content-length': String(Buffer.byteLength(text)), ...headers }
      const answer = await open(path, { method, headers: framed }, text)
      const told = await collect(answer)
      return { status: answer.statusCode!, body: JSON.parse(told) as Loose, headers: answer.headers }
    },
    async watch(path) {
      const answer = await open(path, { method: 'GET' })
      const watching: Watching = {
        events: [],
        ended: new Promise((resolve) => answer.once('close', resolve)),
        close: () => void answer.destroy()
      }
      t.teardown(watching.close)
      let rest = ''
      answer.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()!
        for (const line of lines) watching.events.push(JSON.parse(line) as Watching['events'][number])
      })
      return watching
    },
    following(args) {
      let printed = ''
      const child = spawn('kubectl', args.split(' '), { env, stdio: ['ignore', 'pipe', 'ignore'] })
      child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
      t.teardown(() => void child.kill())
      return () => printed
    },
    kubectl: (args, input) =>
      new Promise((resolve) => {
        const child = execFile(
          'kubectl',
          args.split(' '),
          { env, timeout: 30_000 },
          (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr })
        )
        child.stdin!.on('error', () => {})
        child.stdin!.end(input)
      })
  }
}

export async function collect(answer: AsyncIterable<unknown>): Promise<string> {
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return text
}

/** Asks again until there is an answer. */
export async function until<T>(
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 120_000
): Promise<T> {
  for (const end = Date.now() + deadlineMs; ;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${ask.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A node with room, as a virtual node registers it. */
export const node = (
  name: string,
  more: { labels?: Obj; taints?: Obj[]; allocatable?: Obj; status?: Obj } = {}
) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...more.labels } },
  spec: more.taints ? { taints: more.taints } : {},
  status: {
    allocatable: { cpu: '4', memory: '8Gi', pods: '100', ...more.allocatable },
    conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }],
    ...more.status
  }
})

export const pod = (name: string, spec: Obj = {}, metadata: Obj = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'main', image: 'host' }], ...spec }
})

export const podsPath = '/api/v1/namespaces/default/pods'
