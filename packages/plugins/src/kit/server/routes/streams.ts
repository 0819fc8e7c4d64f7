import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Type, type Static } from 'typebox'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { InterlinkError } from '@interlink-ts/interlink-api/errors'
import {
  acceptWebSocket,
  Channels,
  channel,
  countStreams,
  keepAlive,
  upgradeOf
} from '@interlink-ts/interlink-api/streams'
import {
  decode,
  parseJson,
  streamProtocol,
  StreamStart,
  type StreamKind,
  type StreamStatus
} from '@interlink-ts/interlink-api/wire'
import { PluginError } from '../../../errors.ts'
import type { AttachOptions, ExecOptions } from '../../backend.ts'
import { hasStopped, isUnderWay, submittedJob, type JobEntry } from '../../jobs/job-entry.ts'
import { offeredStreams } from '../../streams/offered.ts'
import { serveProcess } from '../../streams/serve-process.ts'
import type { PluginContext } from '../build-plugin-server.ts'

const startTimeoutMs = 30_000

const uid = Type.String({ minLength: 1 })
const InContainer = Type.Object({ uid, container: Type.String({ minLength: 1 }) })
const ToPort = Type.Object({ uid, port: Type.Integer({ minimum: 1, maximum: 65535 }) })

/** `GET /exec`, `GET /attach` and `GET /portforward`: WebSockets, see "Streams" of docs/reference/protocol.md. */
export const streamRoutes: FastifyPluginAsync<PluginContext> = async (app, { backend, keeper, metrics }) => {
  const count = countStreams(metrics, 'interlink_plugin_streams')

  for (const kind of ['exec', 'attach'] as const)
    app.get<{ Querystring: Static<typeof InContainer> }>(
      `/${kind}`,
      { schema: { querystring: InContainer } },
      async (request, reply) => {
        checkHandshake(request, kind)
        const { container } = request.query
        const entry = runningJob(request.query.uid)
        assertRunning(entry, container)
        const socket = await acceptWebSocket(request, reply, streamProtocol)
        keepAlive(socket)
        const left = new AbortController()
        const channels = new Channels(socket)
        channels.once('close', () => left.abort())
        const input = channels.reader(channel.stdin)
        const start = new Promise<string>((resolve) =>
          socket.on('message', (data, isBinary) => isBinary || resolve((data as Buffer).toString()))
        )
        await converse(request, kind, channels, () =>
          serveProcess(
            async () => {
              const { command, stdin, tty } = readStart(await within(start, left.signal), kind)
              const options = { container, stdin, tty, signal: left.signal }
              const job = submittedJob(entry)
              return kind === 'exec'
                ? backend.streams!.exec!(job, { ...options, command })
                : backend.streams!.attach!(job, attachOptions(entry, options))
            },
            channels,
            input
          )
        )
      }
    )

  app.get<{ Querystring: Static<typeof ToPort> }>(
    '/portforward',
    { schema: { querystring: ToPort } },
    async (request, reply) => {
      checkHandshake(request, 'portforward')
      const { port } = request.query
      const left = new AbortController()
      const entry = runningJob(request.query.uid)
      const toPort = (error: unknown) => {
        if (error instanceof PluginError) throw error
        const reason = error instanceof Error ? error.message : String(error)
        throw new PluginError('PLUGIN_PORT', { port, pod: entry.outline.name, reason }, error)
      }
      const connection = await backend.streams!.portForward!(submittedJob(entry), port, left.signal).catch(
        toPort
      )
      const socket = await acceptWebSocket(request, reply, streamProtocol).catch((error: unknown) => {
        connection.destroy()
        throw error
      })
      keepAlive(socket)
      const channels = new Channels(socket)
      channels.once('close', () => {
        left.abort()
        connection.destroy()
      })
      await converse(request, 'portforward', channels, async () => {
        const input = channels.reader(channel.stdin)
        const output = channels.writer(channel.stdout)
        await Promise.all([pipeline(input, connection), pipeline(connection, output)]).catch(toPort)
        return { status: 'Success' }
      })
    }
  )

  function checkHandshake(request: FastifyRequest, kind: StreamKind): void {
    if (!offeredStreams(backend).includes(kind))
      throw new PluginError('PLUGIN_NOT_OFFERED', { what: kind, backend: backend.name })
    if (upgradeOf(request)?.protocol !== 'websocket')
      throw new InterlinkError('IL_UPGRADE_REQUIRED', { path: `/${kind}`, subprotocol: streamProtocol })
  }

  function runningJob(uid: string): JobEntry {
    const entry = keeper.get(uid)
    if (!entry) throw new PluginError('PLUGIN_UNKNOWN_POD', { uid })
    if (!isUnderWay(entry)) throw new PluginError('PLUGIN_POD_NOT_RUNNING', { pod: entry.outline.name })
    return entry
  }

  /** Runs a session to its end, which is told on the status channel whatever it is. */
  async function converse(
    request: FastifyRequest,
    kind: StreamKind,
    channels: Channels,
    run: () => Promise<StreamStatus>
  ): Promise<void> {
    count(kind, 1)
    const status = await run().catch((error: unknown): StreamStatus => {
      if (channels.isOpen) request.log.warn({ err: error, kind, session: request.id }, 'stream broke off')
      const known = error instanceof InterlinkError
      return {
        status: 'Failure',
        reason: 'InternalError',
        message: known ? error.message : `the plugin failed to ${kind}; see its log`
      }
    })
    await channels.send(channel.status, JSON.stringify({ metadata: {}, ...status })).catch(() => {})
    channels.end()
    count(kind, -1)
  }
}

function assertRunning({ outline, state }: JobEntry, container: string): void {
  const pod = outline.name
  if (!outline.containers.some(({ name }) => name === container))
    throw new PluginError('PLUGIN_UNKNOWN_CONTAINER', { container, pod })
  const now = state?.containers.get(container)?.state ?? 'waiting'
  if (now !== 'running') throw new PluginError('PLUGIN_NOT_RUNNING', { container, pod, state: now })
}

function attachOptions(
  entry: JobEntry,
  { container, stdin, tty, signal }: Omit<ExecOptions, 'command'>
): AttachOptions {
  const own = entry.outline.containers.find(({ name }) => name === container)
  const attempt = entry.state?.containers.get(container)?.restarts ?? 0
  return {
    container,
    stdin: stdin && own?.stdin !== undefined,
    stdinOnce: own?.stdin === 'once',
    tty: tty && own?.tty === true,
    signal,
    attempt,
    isRunning() {
      const record = entry.state?.containers.get(container)
      return !hasStopped(entry) && record?.state === 'running' && record.restarts === attempt
    }
  }
}

async function within<T>(wanted: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = sleep(startTimeoutMs, undefined, { signal, ref: false }).then(() => {
    throw new InterlinkError('IL_INVALID_MESSAGE', { field: 'start', expected: 'a message', found: 'none' })
  })
  return Promise.race([wanted, late])
}

function readStart(text: string, kind: 'exec' | 'attach') {
  const { command = [], ...start } = decode(StreamStart, parseJson(text))
  if (kind === 'exec' && command.length === 0)
    throw new InterlinkError('IL_INVALID_MESSAGE', { field: 'command', expected: 'words', found: 'nothing' })
  if (command.some((word) => word.includes('\0'))) throw new PluginError('PLUGIN_NUL')
  return { command, ...start }
}
