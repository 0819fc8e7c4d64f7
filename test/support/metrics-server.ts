/** The part of metrics-server that `kubectl top` asks: scrapes kubelet ports, and serves what two scrapes say. */
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { makeCertificates } from '../../packages/interlink-api/test/certificates.ts'
import type { Kubectl } from './kubectl.ts'

interface MetricsServer {
  readonly port: number
  close(): Promise<void>
}

interface MetricsServerOptions {
  readonly tls: { readonly cert: string; readonly key: string }
  readonly node: { readonly name: string; readonly port: number; readonly token: string }
}

type Scrape = ReadonlyMap<string, { readonly value: number; readonly at: number }>
const everyMs = 2000
const api = '/apis/metrics.k8s.io/v1beta1'
const sample = /^(\w+)(?:\{(.*)\})? (\S+) (\d+)$/gm

async function startMetricsServer({ tls, node }: MetricsServerOptions): Promise<MetricsServer> {
  let before: Scrape = new Map()
  let now: Scrape = new Map()
  const scrape = async () => {
    const text = await get(node)
    const found = new Map<string, { value: number; at: number }>()
    for (const [, name, labels = '', value, at] of text.matchAll(sample))
      found.set(`${name}{${labels}}`, { value: Number(value), at: Number(at) })
    ;[before, now] = [now, found]
  }
  const timer = setInterval(() => void scrape().catch(() => {}), everyMs)

  /** As quantities; undefined until there are two scrapes. */
  function usage(prefix: 'node' | 'container', labels: string) {
    const key = `${prefix}_cpu_usage_seconds_total{${labels}}`
    const [first, last] = [before.get(key), now.get(key)]
    const memory = now.get(`${prefix}_memory_working_set_bytes{${labels}}`)
    if (!first || !last || !memory || last.at <= first.at) return undefined
    const cores = ((last.value - first.value) * 1000) / (last.at - first.at)
    return { cpu: `${Math.round(cores * 1e9)}n`, memory: `${Math.round(memory.value / 1024)}Ki` }
  }

  const times = () => ({ timestamp: new Date().toISOString(), window: `${everyMs / 1000}s` })
  function podsOf(wanted: string | undefined) {
    const pods = new Map<string, { namespace: string; name: string; containers: object[] }>()
    for (const key of now.keys()) {
      const [, labels, container, namespace, name] =
        /^container_cpu\w+\{(container="(.*)",namespace="(.*)",pod="(.*)")\}$/.exec(key) ?? []
      const used = labels === undefined ? undefined : usage('container', labels)
      if (!used || (wanted !== undefined && namespace !== wanted)) continue
      const pod = pods.get(`${namespace}/${name}`) ?? { namespace: namespace!, name: name!, containers: [] }
      pod.containers.push({ name: container, usage: used })
      pods.set(`${namespace}/${name}`, pod)
    }
    return [...pods.values()].map(({ namespace, name, containers }) => ({
      metadata: { namespace, name },
      ...times(),
      containers
    }))
  }

  function nodes() {
    const used = usage('node', '')
    return used ? [{ metadata: { name: node.name }, ...times(), usage: used }] : []
  }

  const list = (kind: string, items: object[]) => ({
    ...{ kind: `${kind}List`, apiVersion: 'metrics.k8s.io/v1beta1', metadata: {} },
    items
  })
  const resource = (name: string, kind: string, namespaced: boolean) => ({
    ...{ name, kind, namespaced, singularName: '', verbs: ['get', 'list'] }
  })
  function answer(path: string): object | undefined {
    if (path === api)
      return {
        ...{ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'metrics.k8s.io/v1beta1' },
        resources: [resource('nodes', 'NodeMetrics', false), resource('pods', 'PodMetrics', true)]
      }
    const [, namespace, kind, name] =
      /^(?:\/namespaces\/([^/]+))?\/(nodes|pods)(?:\/([^/]+))?$/.exec(path.slice(api.length)) ?? []
    if (!kind) return undefined
    const items = kind === 'nodes' ? nodes() : podsOf(namespace)
    if (name === undefined) return list(kind === 'nodes' ? 'NodeMetrics' : 'PodMetrics', items)
    return items.find(({ metadata }) => metadata.name === name)
  }

  const server = createServer(tls, (incoming, reply) => {
    const body = answer(new URL(incoming.url!, 'https://localhost').pathname)
    reply.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer)
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

const get = ({ port, token }: MetricsServerOptions['node']): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const to = { host: '127.0.0.1', port, path: '/metrics/resource', headers, rejectUnauthorized: false }
    request(to, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => (answer.statusCode === 200 ? resolve(text) : reject(new Error(text))))
    })
      .on('error', reject)
      .end()
  })

/** `kubectl top` for one node. The API server is to run with `--enable-aggregator-routing=false`. */
export async function provideMetrics(
  t: Pick<Test, 'teardown'>,
  kubectl: Kubectl,
  nodeName: string
): Promise<void> {
  const must = async (args: readonly string[], input?: string) => {
    const result = await kubectl(args, input === undefined ? {} : { input })
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`)
    return result.stdout
  }
  const apply = (object: object) => must(['apply', '-f', '-'], JSON.stringify(object))
  await must(['create', 'serviceaccount', 'scraper'])
  await must(['create', 'clusterrole', 'scraper', '--verb=get', '--resource=nodes/metrics'])
  await must([
    'create',
    'clusterrolebinding',
    'scraper',
    '--clusterrole=scraper',
    '--serviceaccount=default:scraper'
  ])
  const pki = makeCertificates()
  const server = await startMetricsServer({
    tls: { cert: pki.read('server.crt'), key: pki.read('server.key') },
    node: {
      name: nodeName,
      port: Number(
        await must(['get', 'node', nodeName, '-o', 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}'])
      ),
      token: (await must(['create', 'token', 'scraper'])).trim()
    }
  })
  t.teardown(() => server.close())
  const service = { name: 'metrics-server', namespace: 'kube-system' }
  await apply({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: service },
    spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port: server.port }] }
  })
  await apply({
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: 'v1beta1.metrics.k8s.io' },
    spec: {
      ...{ group: 'metrics.k8s.io', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
      service: { ...service, port: server.port },
      insecureSkipTLSVerify: true
    }
  })
}
