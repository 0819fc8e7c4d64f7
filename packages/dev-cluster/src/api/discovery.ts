import type { FastifyInstance } from 'fastify'
import { groupVersion, resources, type Resource } from '../resources.ts'
import { gnosticDocument } from '../schema/gnostic.ts'
import { openapi, openapiV2 } from './openapi.ts'

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const reviews = [
  ['authentication.k8s.io', 'TokenReview', 'tokenreviews', false],
  ['authentication.k8s.io', 'SelfSubjectReview', 'selfsubjectreviews', false],
  ['authorization.k8s.io', 'SubjectAccessReview', 'subjectaccessreviews', false],
  ['authorization.k8s.io', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', false],
  ['authorization.k8s.io', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', false],
  ['authorization.k8s.io', 'LocalSubjectAccessReview', 'localsubjectaccessreviews', true]
] as const

/** /version, /api, /apis and the OpenAPI documents, all made from the table of resources. */
export async function discovery(app: FastifyInstance): Promise<void> {
  app.get('/version', async () => ({
    major: '1',
    minor: '35',
    gitVersion: 'v1.35.0+dev-cluster',
    platform: `${process.platform}/${process.arch}`
  }))
  for (const path of ['/healthz', '/readyz', '/livez'])
    app.get(path, async (_request, reply) => reply.type('text/plain').send('ok'))
  app.get('/api', async () => ({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }))
  app.get('/api/v1', async () => resourceList('v1'))
  app.get('/apis', async () => ({ kind: 'APIGroupList', apiVersion: 'v1', groups: groups().map(group) }))
  app.get<{ Params: { group: string } }>('/apis/:group', async ({ params }, reply) =>
    groups().includes(params.group)
      ? { kind: 'APIGroup', apiVersion: 'v1', ...group(params.group) }
      : reply.callNotFound()
  )
  app.get<{ Params: { group: string } }>('/apis/:group/v1', async ({ params }, reply) =>
    groups().includes(params.group) ? resourceList(`${params.group}/v1`) : reply.callNotFound()
  )
  app.get('/openapi/v3', async () => ({
    paths: Object.fromEntries(
      ['api/v1', ...groups().map((name) => `apis/${name}/v1`)].map((path) => [
        path,
        { serverRelativeURL: `/openapi/v3/${path}` }
      ])
    )
  }))
  app.get<{ Params: { '*': string } }>('/openapi/v3/*', async ({ params }) =>
    openapi(params['*'].replace(/^apis?\//, ''))
  )
  app.get('/openapi/v2', async ({ headers }, reply) =>
    headers.accept?.includes('proto-openapi')
      ? reply
          .type('application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
          .send(gnosticDocument(openapiV2().definitions))
      : openapiV2()
  )
}

const groups = (): string[] => [
  ...new Set(
    [...resources.map((resource) => resource.group), ...reviews.map(([name]) => name)].filter(Boolean)
  )
]

function group(name: string) {
  const version = { groupVersion: `${name}/v1`, version: 'v1' }
  return { name, versions: [version], preferredVersion: version }
}

function resourceList(version: string) {
  const stored = resources.filter((resource) => groupVersion(resource) === version).flatMap(entries)
  const asked = reviews
    .filter(([name]) => `${name}/v1` === version)
    .map(([, kind, name, namespaced]) => ({
      name,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs: ['create']
    }))
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: version,
    resources: [...stored, ...asked]
  }
}

const entries = (resource: Resource) => [
  {
    name: resource.plural,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {})
  },
  ...resource.subresources.map((name) => ({
    name: `${resource.plural}/${name}`,
    singularName: '',
    namespaced: resource.namespaced,
    kind: subresourceKinds[name] ?? resource.kind,
    ...(subresourceGroups[name] ? { group: subresourceGroups[name], version: 'v1' } : {}),
    verbs: subresourceVerbs[name] ?? ['get', 'patch', 'update']
  }))
]

const subresourceKinds: Readonly<Record<string, string>> = {
  binding: 'Binding',
  eviction: 'Eviction',
  scale: 'Scale',
  token: 'TokenRequest'
}
const subresourceGroups: Readonly<Record<string, string>> = {
  eviction: 'policy',
  scale: 'autoscaling',
  token: 'authentication.k8s.io'
}
const subresourceVerbs: Readonly<Record<string, string[]>> = {
  binding: ['create'],
  eviction: ['create'],
  token: ['create'],
  log: ['get'],
  exec: ['create', 'get'],
  attach: ['create', 'get'],
  portforward: ['create', 'get'],
  proxy: ['get']
}
