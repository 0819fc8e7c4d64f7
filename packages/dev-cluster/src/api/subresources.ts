/** What is done to an object by its subresources: bind, evict, ask for a token, approve, read its log. */
import { badRequest, conflict, notAllowed, notImplemented } from '../errors.ts'
import { at, now, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import { kubelet } from './kubelet.ts'
import { read } from './read.ts'
import { patch, replace } from './write.ts'
import { scaleOf } from './scale.ts'
import type { ApiContext, Call } from './context.ts'

type Handler = (context: ApiContext, call: Call) => unknown

const pods = known('v1', 'Pod')
const json = (call: Call): Json => (call.request.body ?? {}) as Json

const posts: Readonly<Record<string, Handler>> = {
  binding: (context, call) => {
    const { resource, namespace, name } = call.target
    const pod = context.cluster.store.get(resource, namespace, name!)
    const node = at<string>(json(call), 'target', 'name')
    if (!node) throw badRequest('target.name: the name of the node is required')
    bind(context, pod, node)
    void call.reply.code(201)
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  },
  eviction: (context, call) => {
    const { resource, namespace, name } = call.target
    const options = at<Json>(json(call), 'deleteOptions') ?? {}
    context.cluster.delete(resource, context.cluster.store.get(resource, namespace, name!), options)
    void call.reply.code(201)
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  },
  token: async (context, call) => {
    const { resource, namespace, name } = call.target
    const account = context.cluster.store.get(resource, namespace, name!)
    const spec = at<Json>(json(call), 'spec') ?? {}
    const status = await context.access.issue(account, spec)
    void call.reply.code(201)
    return {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name, namespace },
      spec,
      status
    }
  },
  exec: notYet,
  attach: notYet,
  portforward: notYet
}

const gets: Readonly<Record<string, Handler>> = {
  log: (context, call) => {
    const pod = context.cluster.store.get(call.target.resource, call.target.namespace, call.target.name!)
    const container = logContainer(pod, call.query.container)
    const { container: _container, insecureSkipTLSVerifyBackend: _skip, ...query } = call.query
    const path = `/containerLogs/${pod.metadata.namespace}/${pod.metadata.name}/${container}`
    return kubelet(context, call, nodeOf(pod), path, query)
  },
  proxy: (context, call) =>
    kubelet(context, call, call.target.name!.replace(/:\d+$/, ''), `/${call.target.rest}`, call.query),
  scale: (context, call) =>
    scaleOf(context.cluster.store.get(call.target.resource, call.target.namespace, call.target.name!)),
  exec: notYet,
  attach: notYet,
  portforward: notYet
}

/** Serves a call to a subresource. */
export function subresource(context: ApiContext, call: Call): unknown {
  const name = call.target.subresource!
  switch (call.request.method) {
    case 'GET':
      return (gets[name] ?? read)(context, call)
    case 'POST': {
      const post = posts[name]
      if (!post) throw notAllowed(`POST ${name}`)
      return post(context, call)
    }
    case 'PUT':
      return replace(context, call)
    case 'PATCH':
      return patch(context, call)
    default:
      throw notAllowed(`${call.request.method} ${name}`)
  }
}

/** Puts a pod on a node, as the scheduler does; a pod that has one stays there. */
export function bind(context: Pick<ApiContext, 'cluster'>, pod: KubeObject, node: string): void {
  if (pod.metadata.deletionTimestamp)
    throw conflict(
      pods,
      pod.metadata.name,
      `pod ${pod.metadata.name} is being deleted, cannot be assigned to a host`
    )
  if (at(pod, 'spec', 'nodeName'))
    throw conflict(
      pods,
      pod.metadata.name,
      `pod is already assigned to node "${at<string>(pod, 'spec', 'nodeName')}"`
    )
  const status = at<Json>(pod, 'status') ?? {}
  const conditions = (at<Json[]>(status, 'conditions') ?? []).filter((one) => one.type !== 'PodScheduled')
  context.cluster.store.put(
    pods,
    {
      ...pod,
      spec: { ...(pod.spec as Json), nodeName: node },
      status: {
        ...status,
        conditions: [
          ...conditions,
          { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now() }
        ]
      }
    },
    pod.metadata.resourceVersion
  )
}

function notYet(_context: ApiContext, call: Call): never {
  throw notImplemented(`pods/${call.target.subresource} is not offered by the development cluster yet`)
}

function nodeOf(pod: KubeObject): string {
  const node = at<string>(pod, 'spec', 'nodeName')
  if (!node) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  return node
}

function logContainer(pod: KubeObject, asked: string | undefined): string {
  const names = ['containers', 'initContainers', 'ephemeralContainers'].flatMap((list) =>
    (at<Json[]>(pod, 'spec', list) ?? []).map((one) => String(one.name))
  )
  if (asked) {
    if (!names.includes(asked))
      throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`)
    return asked
  }
  if (at<Json[]>(pod, 'spec', 'containers')!.length > 1)
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`
    )
  return names[0]!
}
