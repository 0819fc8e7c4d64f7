import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { InterlinkError } from '../../errors.ts'
import { decodeCreate } from '../../wire/decode.ts'
import { encodeCreateAnswer } from '../../wire/encode.ts'
import { CreateStruct, ErrorBody, PodCreateRequests, RetrievedPodData } from '../../wire/messages.ts'
import { labelsOf, retrievedPodData } from '../container-list.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { fetchJobScript } from '../job-script.ts'
import { relay } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

/** `/create`: a node's request becomes what a plugin expects; what is that already passes through. */
export const createRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { config, plugins }) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/create',
    schema: {
      summary: 'Creates the job of a pod.',
      body: Type.Union([PodCreateRequests, RetrievedPodData]),
      response: { 200: CreateStruct, '4xx': ErrorBody, '5xx': ErrorBody }
    },
    validatorCompiler: () => (data) => ({ value: data }),
    handler: (request) => {
      const body = decodeCreate(request.body)
      const { pod } = body.message
      const { uid = '', name = '', namespace = '' } = pod.metadata
      const attributes = { 'pod.name': name, 'pod.namespace': namespace, 'pod.uid': uid }
      return traced(request, 'CreateAPI', attributes, async () => {
        if (!uid)
          throw new InterlinkError('IL_INVALID_MESSAGE', {
            field: 'pod.metadata.uid',
            expected: "the pod's UID",
            found: 'nothing'
          })
        const [plugin] = candidates(plugins, {
          node: pod.spec.nodeName ?? nodeOf(request),
          labels: labelsOf(pod)
        })
        const data =
          body.kind === 'retrieved' ? body.message : retrievedPodData(body.message, config.jobScriptBuild)
        const script =
          body.kind === 'requests' && body.message.jobscriptURL
            ? { jobScript: await fetchJobScript(body.message.jobscriptURL, data, config) }
            : {}
        const options = { ...callOptions(request), node: pod.spec.nodeName ?? nodeOf(request) }
        const answer = await plugin.client.create({ ...data, ...script }, options).catch((error: unknown) => {
          throw relay(error, plugin.name)
        })
        request.log.info(
          { pod: name, namespace, uid, jobId: answer.PodJID, plugin: plugin.name },
          'pod created'
        )
        return encodeCreateAnswer(answer)
      })
    }
  })
}
