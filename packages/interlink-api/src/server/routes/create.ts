import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { InterlinkError } from '../../errors.ts'
import { answerCreates } from '../../wire/create-outcomes.ts'
import { decodeCreate } from '../../wire/decode.ts'
import { encodeCreateAnswer } from '../../wire/encode.ts'
import {
  CreateOutcome,
  CreateStruct,
  ErrorBody,
  PodCreateRequests,
  RetrievedPodData
} from '../../wire/messages.ts'
import { labelsOf, retrievedPodData } from '../container-list.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { tellError } from '../errors-to-json.ts'
import { fetchJobScript } from '../job-script.ts'
import { readJobScriptTemplate } from '../job-script-template.ts'
import { candidates } from '../routing.ts'

/** `/create`: a node's request becomes what a plugin expects; what is that already passes through. */
export const createRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { config, plugins }) => {
  const { jobScriptTemplate } = config
  const template =
    jobScriptTemplate === undefined ? undefined : await readJobScriptTemplate(jobScriptTemplate)

  app.route({
    method: ['GET', 'POST'],
    url: '/create',
    schema: {
      summary: 'Creates the job of a pod, or those of several.',
      body: Type.Union([PodCreateRequests, RetrievedPodData, Type.Array(PodCreateRequests)]),
      response: {
        200: Type.Union([CreateStruct, Type.Array(CreateOutcome)]),
        '4xx': ErrorBody,
        '5xx': ErrorBody
      }
    },
    validatorCompiler: () => (data) => ({ value: data }),
    handler: (request) =>
      answerCreates({
        body: request.body,
        session: request.id,
        create: (body) => create(request, body),
        tell: (error) => tellError(error as InterlinkError, request, config)
      })
  })

  async function scriptOf(url: string | undefined, data: RetrievedPodData): Promise<string | undefined> {
    return url ? fetchJobScript(url, data, config) : template?.(data)
  }

  async function create(request: FastifyRequest, json: unknown): Promise<CreateStruct> {
    const body = decodeCreate(json)
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
      const node = pod.spec.nodeName ?? nodeOf(request)
      const [plugin] = candidates(plugins, { node, labels: labelsOf(pod) })
      const data =
        body.kind === 'retrieved' ? body.message : retrievedPodData(body.message, config.jobScriptBuild)
      const script = body.kind === 'requests' ? await scriptOf(body.message.jobscriptURL, data) : undefined
      const answer = await plugin.create(script === undefined ? data : { ...data, jobScript: script }, {
        ...callOptions(request),
        node
      })
      request.log.info(
        { pod: name, namespace, uid, jobId: answer.PodJID, plugin: plugin.name },
        'pod created'
      )
      return encodeCreateAnswer(answer)
    })
  }
}
