import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { VkError } from '../errors.ts'
import type { KubeClient } from '../kube/index.ts'
import { createAuthenticator, type User } from './authentication.ts'
import { createAuthorizer, subresourcesOf, verbOf } from './authorization.ts'

export interface KubeletAuthOptions {
  readonly kube: Pick<KubeClient, 'create'>
  readonly trustsClientCertificates: () => boolean
  /** The node a request is about; empty where it is about every node behind this listener. */
  readonly nodeOf: (request: FastifyRequest) => string
  readonly now?: () => number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the user who calls. */
    caller: string
  }
}

/** Nothing is answered, not even that a route does not exist, before the caller is known and allowed. */
export const kubeletAuth = fp<KubeletAuthOptions>(
  async (app, options) => {
    const authenticate = createAuthenticator(options)
    const allowed = createAuthorizer(options.kube, options.now)
    app.decorateRequest('caller', '')

    app.addHook('onRequest', async (request) => {
      const user = await known(request)
      request.caller = user.username
      const path = request.url.split('?', 1)[0]!
      const verb = verbOf(request.method, path)
      const subresources = subresourcesOf(path)
      const node = options.nodeOf(request)
      for (const subresource of subresources)
        if (await asked(() => allowed(user, verb, subresource, node))) return
      throw new VkError('VK_FORBIDDEN', { user: user.username, verb, subresource: subresources.join('|') })
    })

    async function known(request: FastifyRequest): Promise<User> {
      const user = await authenticate(request.raw).catch((error: unknown) => {
        request.log.warn({ err: error }, 'the caller could not be authenticated')
        return undefined
      })
      if (!user) throw new VkError('VK_UNAUTHENTICATED')
      return user
    }
  },
  { fastify: '5.x', name: 'kubelet-auth' }
)

async function asked(ask: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ask()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new VkError('VK_AUTHORIZER_UNREACHABLE', { reason }, error)
  }
}
