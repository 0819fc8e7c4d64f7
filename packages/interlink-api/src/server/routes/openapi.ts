import type { FastifyInstance, RouteOptions } from 'fastify'

interface Described {
  readonly summary?: string
  readonly body?: unknown
  readonly querystring?: {
    readonly properties?: Record<string, unknown>
    readonly required?: readonly string[]
  }
  readonly response?: Readonly<Record<string, unknown>>
}

/** `/openapi.json`, made from the schemas of the routes that are there. Comes before them: it hears of each. */
export function openapiRoutes(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    routes.push(route)
  })
  app.get(
    '/openapi.json',
    { schema: { summary: 'This document.', response: { 200: { type: 'object' } } } },
    async () => document(routes)
  )
}

function document(routes: readonly RouteOptions[]) {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes)
    for (const method of [route.method].flat())
      if (method !== 'HEAD')
        (paths[route.url] ??= {})[method.toLowerCase()] = operation(route.schema as Described)
  return {
    openapi: '3.1.0',
    info: {
      title: 'interLink API server',
      version: '0.6',
      description: 'GET bodies are part of the protocol. Unknown fields are ignored everywhere.'
    },
    paths
  }
}

const operation = ({ summary, body, querystring, response = {} }: Described = {}) => ({
  ...(summary ? { summary } : {}),
  ...(querystring?.properties
    ? {
        parameters: Object.entries(querystring.properties).map(([name, schema]) => ({
          name,
          in: 'query',
          required: querystring.required?.includes(name) ?? false,
          schema
        }))
      }
    : {}),
  ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
  responses: Object.fromEntries(
    Object.entries(response).map(([status, schema]) => [
      status.toUpperCase(),
      { description: status === '200' ? 'done' : 'an error', content: { [mediaType(schema)]: { schema } } }
    ])
  )
})

const mediaType = (schema: unknown): string =>
  (schema as { type?: string }).type === 'string' ? 'text/plain' : 'application/json'
