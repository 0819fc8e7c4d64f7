import http from 'node:http'
import { createInterlinkClient } from '../src/client/client.ts'
import type { ApiConfigInput } from '../src/server/config.ts'
import { startApi } from '../src/server/start.ts'
import { podOf, startPluginDouble, uidOf, type PluginDouble } from './plugin-double.ts'

/** A test that closes what it opened. */
export interface Ending {
  teardown(close: () => unknown): unknown
}

interface Raw {
  status: number
  headers: http.IncomingHttpHeaders
  body: string
}

export function raw(
  url: string,
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {}
) {
  return new Promise<Raw>((resolve, reject) => {
    const target = new URL(path, url)
    const req = http.request(
      target,
      {
        method,
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) })
        }
      },
      (res) => {
        let text = ''
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => (text += chunk))
        res.on('end', () => resolve({ status: res.statusCode!, headers: res.headers, body: text }))
      }
    )
    req.on('error', reject)
    req.end(body)
  })
}

export async function serve(
  test: Ending,
  plugins: readonly PluginDouble[],
  more: Partial<ApiConfigInput> = {}
) {
  const api = await startApi({
    listen: 'http://127.0.0.1:0',
    plugins: plugins.map(({ url }, index) => ({ name: `p${index}`, url })),
    ...more
  })
  test.teardown(() => api.close())
  return api.url
}

export async function double(test: Ending, ...args: Parameters<typeof startPluginDouble>) {
  const plugin = await startPluginDouble(...args)
  test.teardown(() => plugin.close())
  return plugin
}

export const clientOf = (test: Ending, options: Parameters<typeof createInterlinkClient>[0]) => {
  const client = createInterlinkClient(options)
  test.teardown(() => client.close())
  return client
}

export const logRequest = (opts: object = {}) => ({
  Namespace: 'default',
  PodUID: uidOf(1),
  PodName: 'a',
  ContainerName: 'main',
  Opts: {
    Tail: 0,
    Bytes: 0,
    Timestamps: false,
    Follow: false,
    Previous: false,
    SinceSeconds: 0,
    SinceTime: '0001-01-01T00:00:00Z',
    ...opts
  }
})

export async function text(stream: AsyncIterable<Buffer | string>): Promise<string> {
  let all = ''
  for await (const chunk of stream) all += String(chunk)
  return all
}

export function defer() {
  let resolve!: () => void
  const promise = new Promise<void>((r) => (resolve = r))
  return { promise, resolve }
}

export const request = (uid = uidOf(1)) => ({
  pod: {
    ...podOf({ uid }),
    spec: {
      nodeName: 'vk',
      initContainers: [{ name: 'first', volumeMounts: [{ name: 'cfg', mountPath: '/c' }] }],
      containers: [
        {
          name: 'main',
          volumeMounts: [
            { name: 'key', mountPath: '/k' },
            { name: 'all', mountPath: '/a' }
          ]
        },
        { name: 'side' }
      ],
      volumes: [
        { name: 'cfg', configMap: { name: 'app' } },
        { name: 'key', secret: { secretName: 'pass' } },
        { name: 'all', projected: { sources: [] } }
      ]
    }
  },
  configmaps: [{ metadata: { name: 'app' }, data: { k: 'v' } }],
  secrets: [{ metadata: { name: 'pass' }, data: { p: 'c2VjcmV0' } }],
  projectedvolumesmaps: [{ metadata: { name: 'all' }, data: { token: 'eyJ' } }],
  jobscriptURL: ''
})
