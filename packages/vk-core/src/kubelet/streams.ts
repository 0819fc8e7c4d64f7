import type { FastifyPluginAsync } from 'fastify'
import { VkError } from '../errors.ts'

interface StreamRoute {
  Params: { namespace: string; pod: string; '*'?: string }
}

/** exec, attach and port-forward: their routes, with a plain answer until a backend offers them. */
export const streams: FastifyPluginAsync<{
  /** Name of the node of a pod, for the message. */
  readonly nodeOf: (namespace: string, pod: string) => string
}> = async (app, { nodeOf }) => {
  for (const what of ['exec', 'attach', 'portForward', 'run'])
    for (const path of [`/${what}/:namespace/:pod`, `/${what}/:namespace/:pod/*`])
      app.route<StreamRoute>({
        method: ['GET', 'POST'],
        url: path,
        handler: async ({ params }) => {
          throw new VkError('VK_NOT_OFFERED', { what, node: nodeOf(params.namespace, params.pod) })
        }
      })
}
