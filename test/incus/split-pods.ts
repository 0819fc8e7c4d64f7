/** Pods of several instances, and what a lab has of them. */
import { text } from 'node:stream/consumers'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { isOver } from '../slurm/slurm-plugin.ts'
import { incusPod } from './incus-plugin.ts'

export const layout = { 'interlink.io/incus-layout': 'containers' }
export const shared = { name: 'shared', mountPath: '/shared' }

/** Says `NAME sees IMAGE`, and waits for the file `/shared/NAME`, whose first word is its exit code. */
export const waits = (name: string) =>
  `echo "${name} sees $(cat /kind 2>/dev/null)"; until [ -s /shared/${name} ]; do sleep 0.1; done; exit "$(cat /shared/${name})"`

/** A container that runs a script, and has what the instances share. */
export const shell = (name: string, script: string, more: object = {}) => ({
  name,
  image: 'busybox',
  command: ['/bin/sh', '-c', script],
  volumeMounts: [shared],
  ...more
})

/** A pod of several instances, which share a directory. */
export const splitPod = (spec: Record<string, unknown>): RetrievedPodData =>
  incusPod('', {
    annotations: layout,
    spec: { volumes: [{ name: 'shared', emptyDir: {} }], ...spec }
  })

/** Sidecars end after the others. */
export const isAllOver = (status: PodStatus) =>
  isOver(status) && status.initContainers!.every(({ state }) => state?.terminated)

/** All that a lab has of pods: instances, then volumes. */
export async function leftIn(lab: IncusLab, pool = 'default'): Promise<string[]> {
  const all = async (...words: string[]) =>
    JSON.parse(await lab.run(...words, '--format=json')) as { name: string; type: string }[]
  const volumes = (await all('storage', 'volume', 'list', pool)).filter(({ type }) => type === 'custom')
  return [...(await all('list')), ...volumes].map(({ name }) => name).sort()
}

export async function exec(
  client: InterlinkClient,
  { pod }: RetrievedPodData,
  container: string,
  script: string
) {
  const command = ['/bin/sh', '-c', script]
  const session = await client.stream(pod.metadata.uid!, {
    kind: 'exec',
    container,
    command,
    stdin: false,
    tty: false
  })
  const [out, status] = await Promise.all([text(session.output), session.status])
  return status.status === 'Success' ? out : JSON.stringify(status)
}
