/** POST, PUT, PATCH and DELETE of objects and of what hangs below them. */
import { applied } from '../apply.ts'
import { ApiError, badRequest, notAllowed } from '../errors.ts'
import { at, type Json, type KubeObject } from '../object.ts'
import { applyPatch } from '../patch.ts'
import type { DeleteOptions } from '../cluster.ts'
import { groupVersion } from '../resources.ts'
import { conform } from '../schema/conform.ts'
import { shapeOf, shapeOfResource, type Shape } from '../schema/shape.ts'
import { selector } from './read.ts'
import { shown, storable } from './event-forms.ts'
import { scaled, scaleOf } from './scale.ts'
import { isTrue, type ApiContext, type Call } from './context.ts'

const dryRun = ({ query }: Call): boolean => query.dryRun === 'All'
const isApply = ({ request }: Call): boolean =>
  (request.headers['content-type'] ?? '').startsWith('application/apply-patch')

function bodyOf({ request }: Call): Json {
  const { body } = request
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badRequest('the request needs a JSON object as its body')
  return body as Json
}

export function create(context: ApiContext, call: Call): KubeObject {
  const { resource, namespace, name } = call.target
  if (name !== undefined) throw notAllowed('POST')
  if (resource.namespaced && namespace === undefined) throw badRequest('the namespace is missing in the path')
  void call.reply.code(201)
  return add(context, call, checked(call, bodyOf(call)))
}

function add(context: ApiContext, call: Call, content: Json): KubeObject {
  const { resource, namespace } = call.target
  const body = storable(resource, content)
  const { username, groups } = call.user
  const owned: Json =
    resource.kind === 'CertificateSigningRequest'
      ? { ...body, spec: { ...at<Json>(body, 'spec'), username, groups: [...groups] } }
      : body
  return shown(resource, context.cluster.create(resource, namespace, owned, dryRun(call)))
}

export function replace(context: ApiContext, call: Call): KubeObject | Json {
  const { resource, namespace, name, subresource } = call.target
  const current = context.cluster.store.get(resource, namespace, name!)
  if (subresource === 'scale') {
    const scale = checked(call, bodyOf(call), shapeOf('Scale'))
    return scaleOf(write(context, call, current, scaled(current, scale)))
  }
  const body = storable(resource, checked(call, bodyOf(call)))
  const asked = at<string>(body, 'metadata', 'name')
  if (asked !== name)
    throw badRequest(`the name of the object (${asked}) does not match the name on the URL (${name})`)
  const { managedFields } = current.metadata
  const metadata = { ...at<Json>(body, 'metadata'), ...(managedFields ? { managedFields } : {}) }
  return shown(resource, write(context, call, current, { ...body, metadata }))
}

export function patch(context: ApiContext, call: Call): KubeObject | Json {
  const { resource, namespace, name, subresource } = call.target
  const current = context.cluster.store.find(resource, namespace, name!)
  if (!current) return applyNew(context, call)
  const body = call.request.body
  const type = call.request.headers['content-type'] ?? ''
  if (subresource === 'scale') {
    const shape = shapeOf('Scale')!
    const next = checked(call, applyPatch(shape, scaleOf(current), body, type), shape)
    return scaleOf(write(context, call, current, scaled(current, next)))
  }
  const shape = shapeOfResource(resource)
  const old = shown(resource, current) as Json
  const next = isApply(call) ? applied(shape, old, application(call)) : applyPatch(shape, old, body, type)
  const resourceVersion = at<string>(body, 'metadata', 'resourceVersion') ?? ''
  const content = storable(resource, checked(call, next))
  const metadata = { ...at<Json>(content, 'metadata'), resourceVersion }
  return shown(resource, write(context, call, current, { ...content, metadata }))
}

/** An apply of what is not there creates it. */
function applyNew(context: ApiContext, call: Call): KubeObject {
  const { resource, namespace, name } = call.target
  if (!isApply(call) || call.target.subresource) context.cluster.store.get(resource, namespace, name!)
  void call.reply.code(201)
  const given = application(call)
  const metadata = { ...at<Json>(given.body, 'metadata'), name }
  const shape = shapeOfResource(resource)
  return add(context, call, checked(call, applied(shape, { metadata }, given)))
}

const application = (call: Call) => ({
  manager: call.query.fieldManager ?? '',
  force: isTrue(call.query.force),
  body: checked(call, bodyOf(call))
})

/** The body as its type allows it. Unknown fields are an error, a warning, or nothing, as `fieldValidation` asks. */
function checked(call: Call, body: Json, shape: Shape = shapeOfResource(call.target.resource)): Json {
  const version = groupVersion(call.target.resource)
  const { kind } = call.target.resource
  const refuse = (why: string) =>
    badRequest(
      `${String(body.kind ?? kind)} in version "${version}" cannot be handled as a ${shape.name}: ${why}`
    )
  if (body.kind !== undefined && shape.name !== 'Scale' && body.kind !== kind)
    throw refuse(`kind: expected ${kind}`)
  try {
    const { object, unknown } = conform(shape, body)
    if (unknown.length > 0 && call.query.fieldValidation !== 'Ignore') {
      const fields = unknown.map((path) => `unknown field "${path}"`)
      if (call.query.fieldValidation === 'Strict')
        throw badRequest(`strict decoding error: ${fields.join(', ')}`)
      void call.reply.header('warning', fields.map((field) => `299 - ${JSON.stringify(field)}`).join(', '))
    }
    return object
  } catch (error) {
    throw error instanceof ApiError ? refuse(error.message) : error
  }
}

const write = (context: ApiContext, call: Call, current: KubeObject, body: Json): KubeObject => {
  const { resource, subresource } = call.target
  return context.cluster.update(
    resource,
    current,
    body,
    subresource === 'scale' ? undefined : subresource,
    dryRun(call)
  )
}

export function remove(context: ApiContext, call: Call): unknown {
  const { resource, namespace, name } = call.target
  const options = deleteOptions(call)
  if (name === undefined) {
    const wanted = selector(resource, call.query)
    const doomed = context.cluster.store
      .list(resource, namespace)
      .filter((object) => !wanted || wanted(object))
    for (const object of doomed) context.cluster.delete(resource, object, options)
    return {
      kind: `${resource.kind}List`,
      apiVersion: groupVersion(resource),
      metadata: { resourceVersion: String(context.cluster.store.revision) },
      items: doomed.map((object) => shown(resource, object))
    }
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
  const body = conform(shapeOf('DeleteOptions')!, (request.body ?? {}) as Json).object as DeleteOptions
  const grace =
    query.gracePeriodSeconds === undefined ? body.gracePeriodSeconds : Number(query.gracePeriodSeconds)
  if (grace !== undefined && !Number.isInteger(grace))
    throw badRequest('gracePeriodSeconds: must be a whole number of seconds')
  return {
    ...body,
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(query.propagationPolicy ? { propagationPolicy: query.propagationPolicy } : {}),
    ...(query.dryRun ? { dryRun: [query.dryRun] } : {})
  }
}
