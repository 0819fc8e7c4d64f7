/** Which node, and which container of a pod, a call is about. */
import { badRequest } from '../errors.ts'
import { at, type Json, type KubeObject } from '../object.ts'

export function nodeOf(pod: KubeObject): string {
  const node = at<string>(pod, 'spec', 'nodeName')
  if (!node) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  return node
}

/** The one that is asked for, or the only one. */
export function containerOf(pod: KubeObject, asked: string | undefined): string {
  const names = ['containers', 'initContainers', 'ephemeralContainers'].flatMap((list) =>
    (at<Json[]>(pod, 'spec', list) ?? []).map((one) => String(one.name))
  )
  if (asked) {
    if (!names.includes(asked))
      throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`)
    return asked
  }
  if (at<Json[]>(pod, 'spec', 'containers')!.length > 1)
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`
    )
  return names[0]!
}
