/** POST, PUT, PATCH and DELETE of objects and of what hangs below them. */
import { badRequest, ApiError, notAllowed } from '../errors.ts'
import { at, type Json, type KubeObject } from '../object.ts'
import { applyPatch } from '../patch.ts'
import type { DeleteOptions } from '../cluster.ts'
import { selector } from './read.ts'
import { shown, storable } from './event-forms.ts'
import { scaled, scaleOf } from './scale.ts'
import type { ApiContext, Call } from './context.ts'

const dryRun = ({ query }: Call): boolean => query.dryRun === 'All'

function bodyOf({ request }: Call): Json {
  const { body } = request
  if (typeof body !== 'object' || body === null)
    throw badRequest('the request needs a JSON object as its body')
  return body as Json
}

export function create(context: ApiContext, call: Call): KubeObject {
  const { resource, namespace, name } = call.target
  if (name !== undefined) throw notAllowed('POST')
  if (resource.namespaced && namespace === undefined) throw badRequest('the namespace is missing in the path')
  void call.reply.code(201)
  const body = storable(resource, bodyOf(call))
  const owned: Json =
    resource.kind === 'CertificateSigningRequest'
      ? {
          ...body,
          spec: { ...at<Json>(body, 'spec'), username: call.user.username, groups: [...call.user.groups] }
        }
      : body
  return shown(resource, context.cluster.create(resource, namespace, owned, dryRun(call)))
}

export function replace(context: ApiContext, call: Call): KubeObject | Json {
  const { resource, namespace, name, subresource } = call.target
  const current = context.cluster.store.get(resource, namespace, name!)
  const body = storable(resource, bodyOf(call))
  if (subresource === 'scale') return scaleOf(write(context, call, current, scaled(current, body)))
  return shown(resource, write(context, call, current, body))
}

export function patch(context: ApiContext, call: Call): KubeObject | Json {
  const { resource, namespace, name, subresource } = call.target
  const { store } = context.cluster
  const type = call.request.headers['content-type'] ?? ''
  const current = store.find(resource, namespace, name!)
  if (!current) {
    if (!type.startsWith('application/apply-patch')) store.get(resource, namespace, name!)
    void call.reply.code(201)
    return context.cluster.create(resource, namespace, bodyOf(call), dryRun(call))
  }
  if (subresource === 'scale') {
    const next = applyPatch(scaleOf(current), call.request.body, type)
    return scaleOf(write(context, call, current, scaled(current, next)))
  }
  const patched = storable(resource, applyPatch(shown(resource, current) as Json, call.request.body, type))
  const asked = at<string>(call.request.body, 'metadata', 'resourceVersion')
  const metadata = { ...at<Json>(patched, 'metadata'), resourceVersion: asked ?? '' }
  return shown(resource, write(context, call, current, { ...patched, metadata }))
}

const write = (context: ApiContext, call: Call, current: KubeObject, body: Json): KubeObject => {
  const { resource, subresource } = call.target
  const onMain = subresource === 'scale' || subresource === 'finalize' ? undefined : subresource
  return context.cluster.update(resource, current, body, onMain, dryRun(call))
}

export function remove(context: ApiContext, call: Call): unknown {
  const { resource, namespace, name } = call.target
  const options = deleteOptions(call)
  if (name === undefined) {
    const wanted = selector(call.query)
    const doomed = context.cluster.store
      .list(resource, namespace)
      .filter((object) => !wanted || wanted(object))
    for (const object of doomed) context.cluster.delete(resource, object, options)
    return { kind: `${resource.kind}List`, apiVersion: 'v1', metadata: {}, items: doomed }
  }
  const object = context.cluster.store.get(resource, namespace, name)
  const result = context.cluster.delete(resource, object, options)
  if (!result.gone || resource.kind === 'Pod') return shown(resource, result.object)
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, group: resource.group, kind: resource.plural, uid: object.metadata.uid }
  }
}

function deleteOptions({ query, request }: Call): DeleteOptions {
  const body = (request.body ?? {}) as DeleteOptions
  const grace =
    query.gracePeriodSeconds === undefined ? body.gracePeriodSeconds : Number(query.gracePeriodSeconds)
  if (grace !== undefined && !Number.isInteger(grace))
    throw new ApiError(400, 'BadRequest', 'gracePeriodSeconds: must be a whole number of seconds')
  return {
    ...body,
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(query.propagationPolicy ? { propagationPolicy: query.propagationPolicy } : {}),
    ...(query.dryRun ? { dryRun: [query.dryRun] } : {})
  }
}
