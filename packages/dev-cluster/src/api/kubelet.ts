/** Passes calls on to the kubelet port of a node, as the API server's own client. */
import { Agent, request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream'
import { ApiError, unavailable } from '../errors.ts'
import { at, type Json } from '../object.ts'
import { known } from '../resources.ts'
import type { ApiContext, Call } from './context.ts'

const nodes = known('v1', 'Node')
// a connection per call: a log that is followed never gives its connection back
const agent = new Agent({ keepAlive: false })

/** How the kubelet port of a node is reached, with the API server's own certificate. */
export function kubeletOf({ cluster, pki }: ApiContext, nodeName: string) {
  const node = cluster.store.get(nodes, undefined, nodeName)
  const host = at<Json[]>(node, 'status', 'addresses')?.find((one) => one.type === 'InternalIP')?.address
  const port = at<number>(node, 'status', 'daemonEndpoints', 'kubeletEndpoint', 'Port')
  if (typeof host !== 'string' || !port)
    throw unavailable(`node ${nodeName} names no kubelet port in its status`)
  return { host, port, ...pki.client, rejectUnauthorized: false }
}

/** The answer of a node's kubelet, streamed; it ends when the caller goes. An error answer becomes a Status. */
export async function kubelet(
  context: ApiContext,
  call: Call,
  nodeName: string,
  path: string,
  query: Call['query']
): Promise<unknown> {
  const address = kubeletOf(context, nodeName)
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const search = pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : ''
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpsRequest({ ...address, path: path + search, agent }, resolve)
    outgoing.once('error', (error) =>
      reject(
        new ApiError(
          500,
          'InternalError',
          `Get "https://${address.host}:${address.port}${path}": ${error.message}`
        )
      )
    )
    call.reply.raw.once('close', () => outgoing.destroy())
    outgoing.end()
  })
  const status = answer.statusCode ?? 502
  if (status >= 400) throw await refusal(answer, status, nodeName)
  const type = answer.headers['content-type'] ?? 'text/plain'
  const { raw } = call.reply.hijack()
  raw.writeHead(status, { 'content-type': type })
  // a follower of a silent log must see that it is connected
  raw.flushHeaders()
  pipeline(answer, raw, () => {})
  return call.reply
}

const longestError = 64 << 10

/** What the node says, as the API says it. */
export async function refusal(answer: IncomingMessage, status: number, node: string): Promise<ApiError> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > longestError) break
  }
  const told = parsed(text)
  return told?.kind === 'Status'
    ? new ApiError(status, String(told.reason || reasons[status] || 'Unknown'), String(told.message))
    : new ApiError(status, reasons[status] ?? 'Unknown', text.trim() || `node ${node} answered ${status}`)
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  500: 'InternalError',
  501: 'NotImplemented',
  503: 'ServiceUnavailable'
}
