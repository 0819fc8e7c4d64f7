import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { CallOptions } from '../../client/client.ts'
import { encodeStatuses } from '../../wire/encode.ts'
import { ErrorBody, PodRef, PodStatus } from '../../wire/messages.ts'
import { labelsOf } from '../container-list.ts'
import { abortedWith, callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import type { PluginLink } from '../plugin-link.ts'
import { inTurn } from '../routing.ts'

/** `/status`: always the plugins' own answer of this moment. A pod that none of them knows is left out. */
export const statusRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins, closing }) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/status',
    schema: {
      summary: 'The states of pods; those that are not known are left out.',
      body: Type.Array(PodRef),
      response: { 200: Type.Array(PodStatus), '4xx': ErrorBody, '5xx': ErrorBody }
    },
    handler: (request, reply) =>
      traced(request, 'StatusAPI', { 'pods.count': request.body.length }, async () => {
        const options = callOptions(request, abortedWith(reply, closing))
        const groups = groupByRoute(request.body, plugins, nodeOf(request))
        const statuses = await Promise.all(groups.map((group) => askInTurn(group, options)))
        // Null where Go has nil; the schema speaks of the decoded shape.
        return encodeStatuses(statuses.flat()) as PodStatus[]
      })
  })
}

interface Group {
  readonly plugins: readonly PluginLink[]
  readonly pods: PodRef[]
}

/** Pods that go to the same plugins in the same order are asked for together. */
function groupByRoute(
  pods: readonly PodRef[],
  plugins: readonly PluginLink[],
  caller: string | undefined
): Group[] {
  const groups = new Map<string, Group>()
  for (const pod of pods) {
    const { spec } = pod as { spec?: { nodeName?: string } }
    const node = spec?.nodeName ?? caller
    const asked = inTurn(plugins, { node, labels: labelsOf(pod) })
    const key = asked.map(({ name }) => name).join(' ')
    const group = groups.get(key)
    if (group) group.pods.push(pod)
    else groups.set(key, { plugins: asked, pods: [pod] })
  }
  return [...groups.values()]
}

/** The next plugin is asked for what the ones before did not know. */
async function askInTurn({ plugins, pods }: Group, options: CallOptions): Promise<PodStatus[]> {
  const found = new Map<string, PodStatus>()
  let open: readonly PodRef[] = pods
  for (const plugin of plugins) {
    if (open.length === 0) break
    for (const status of await plugin.status(open, options)) found.set(status.UID, status)
    open = open.filter((pod) => !found.has(pod.metadata.uid ?? ''))
  }
  return [...found.values()]
}
