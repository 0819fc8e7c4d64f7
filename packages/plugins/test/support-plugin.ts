import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import type { Test } from 'tap'
import type { PodStatus } from '@interlink-ts/interlink-api/wire'
import { JobKeeper } from '../src/kit/jobs/job-keeper.ts'
import type { JobKeeperOptions } from '../src/kit/jobs/job-keeper-options.ts'
import { policyOf } from '../src/kit/jobs/prepare-job.ts'
import { defaultSitePolicy } from '../src/kit/plan/policy.ts'
import { processBackend } from '../src/process/index.ts'

export const log = pino({ level: 'silent' })

/** A directory that goes after the test, with what still runs in it. */
export async function workDirectory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-plugin-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return dir
}

let counter = 0

export interface Shell {
  readonly uid?: string
  readonly spec?: Record<string, unknown>
  readonly container?: Record<string, unknown>
}

/** The body of a create: one container that runs a script on the machine itself. */
export function shellPod(script: string, { uid, spec, container }: Shell = {}) {
  const name = `pod-${++counter}`
  return {
    pod: {
      metadata: { name, namespace: 'default', uid: uid ?? `${name}-${process.pid}` },
      spec: {
        nodeName: 'vk',
        restartPolicy: 'Never',
        containers: [
          {
            name: 'main',
            image: 'host',
            command: ['/bin/sh', '-c', script],
            terminationMessagePath: '/dev/termination-log',
            ...container
          }
        ],
        ...spec
      }
    },
    container: []
  }
}

/** A keeper over the process backend, closed after the test. */
export async function openKeeper(
  t: Test,
  root: string,
  options: Partial<JobKeeperOptions> = {}
): Promise<JobKeeper> {
  const backend = options.backend ?? processBackend.create({}, { root, log })
  const keeper = await JobKeeper.open({
    backend,
    root,
    policy: await policyOf(defaultSitePolicy, backend),
    log,
    deletedSeconds: 0,
    tombstoneSeconds: 60,
    lostSeconds: 2,
    listSeconds: 0.5,
    idleListSeconds: 0.5,
    orphans: { policy: 'cancel', afterSeconds: 0 },
    ...options
  })
  t.teardown(() => keeper.close())
  return keeper
}

export async function until<T>(
  attempt: () => T | Promise<T>,
  what: string,
  deadlineMs = 180_000
): Promise<Exclude<T, null | undefined | false>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const value = await attempt()
    if (value) return value as Exclude<T, null | undefined | false>
    if (performance.now() > end) throw new Error(`not in time: ${what}`)
    await delay(50)
  }
}

export const isOver = (status: PodStatus | undefined): boolean =>
  status?.containers.every(({ state }) => state?.terminated) ?? false

export interface Answer {
  readonly status: number
  readonly text: string
  json<T = unknown>(): T
}

/** A call over a unix socket; GET carries a body, as the protocol has it. */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {}
): Promise<Answer> {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method,
        path,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers }
      },
      (incoming) => {
        let said = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => (said += chunk))
        incoming.once('error', reject)
        incoming.once('end', () =>
          resolve({ status: incoming.statusCode!, text: said, json: <T>() => JSON.parse(said) as T })
        )
      }
    )
    outgoing.once('error', reject)
    outgoing.end(text)
  })
}

const program = fileURLToPath(new URL('support-plugin-process.ts', import.meta.url))
/** The loaders of the tests take ten times as long to start. */
const loader = new URL('../../../scripts/lib/typescript.mjs', import.meta.url).href

export interface PluginProcess {
  readonly child: ChildProcess
  readonly socket: string
  /** Resolves with the process. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** A plugin as a process of its own, on `plugin.sock` of the directory. `crashAt` names where it kills itself. */
export async function startPluginProcess(t: Test, dir: string, crashAt = ''): Promise<PluginProcess> {
  const socket = join(dir, 'plugin.sock')
  const child = spawn(
    process.execPath,
    ['--conditions=interlink-ts-source', `--import=${loader}`, program, dir, crashAt],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH } }
  )
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  t.teardown(() => kill())
  await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'exit').then(() => {
      throw new Error('the plugin did not start')
    })
  ])
  return { child, socket, kill }
}

/** How often a script has said that it started. */
export const startsIn = async (file: string): Promise<number> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1
