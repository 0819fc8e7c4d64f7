/** What is done to an object by its subresources: bind, evict, ask for a token, approve, read its log. */
import { badRequest, conflict, notAllowed } from '../errors.ts'
import { at, now, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import { containerOf, nodeOf } from './containers.ts'
import { kubelet } from './kubelet.ts'
import { assertAllowed, attributesOf } from './authorize.ts'
import { read } from './read.ts'
import { stream, type StreamKind } from './streams.ts'
import { patch, replace } from './write.ts'
import { scaleOf } from './scale.ts'
import type { ApiContext, Call } from './context.ts'

type Handler = (context: ApiContext, call: Call) => unknown

const pods = known('v1', 'Pod')
const json = (call: Call): Json => (call.request.body ?? {}) as Json

/** Whoever may only get them may not begin one: a WebSocket begins with GET. */
const streaming =
  (kind: StreamKind): Handler =>
  (context, call) => {
    assertAllowed(context, call, { ...attributesOf(call), verb: 'create' })
    return stream(context, call, kind)
  }
const streams: Readonly<Record<StreamKind, Handler>> = {
  exec: streaming('exec'),
  attach: streaming('attach'),
  portforward: streaming('portforward')
}

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
  ...streams
}

const gets: Readonly<Record<string, Handler>> = {
  log: (context, call) => {
    const pod = context.cluster.store.get(call.target.resource, call.target.namespace, call.target.name!)
    const container = containerOf(pod, call.query.container)
    const { container: _container, insecureSkipTLSVerifyBackend: _skip, ...query } = call.query
    const path = `/containerLogs/${pod.metadata.namespace}/${pod.metadata.name}/${container}`
    return kubelet(context, call, nodeOf(pod), path, query)
  },
  proxy: (context, call) =>
    kubelet(context, call, call.target.name!.replace(/:\d+$/, ''), `/${call.target.rest}`, call.query),
  scale: (context, call) =>
    scaleOf(context.cluster.store.get(call.target.resource, call.target.namespace, call.target.name!)),
  ...streams
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
