import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import {
  decode,
  type LogStruct,
  type PodStatus,
  type RetrievedPodData
} from '@interlink-ts/interlink-api/wire'
import { startPlugin, type BackendModule, type PluginConfigInput } from '@interlink-ts/plugins/kit'
import { eventually } from './eventually.ts'

/** A plugin in this process, and a client of it. */
export interface TestPlugin {
  readonly root: string
  readonly client: InterlinkClient
  close(): Promise<void>
}

/** A private cluster, and how a backend reaches it. */
export interface Lab {
  readonly dir: string
  readonly options: object
}

/** The configuration of a plugin of a lab, with its files in `dir`. */
export const pluginConfig = (
  lab: Pick<Lab, 'options'>,
  dir: string,
  options: object = {}
): PluginConfigInput => ({
  listen: `unix://${join(dir, 'plugin.sock')}`,
  root: join(dir, 'jobs'),
  options: { ...lab.options, ...options },
  retention: { deletedSeconds: 0, tombstoneSeconds: 60 },
  listSeconds: 0.5,
  lostSeconds: 2
})

/**
 * What starts plugins of a backend in this process, before a lab: each is closed after its test. All that it could log
 * goes into `logFile`.
 */
export const pluginsOf =
  (module: BackendModule) =>
  async (
    t: Test,
    lab: Lab,
    dir = join(lab.dir, `plugin-${++counter}`),
    options: object = {},
    { logFile, ...more }: Partial<PluginConfigInput> & { readonly logFile?: string } = {}
  ): Promise<TestPlugin> => {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const config = { ...pluginConfig(lab, dir, options), ...more }
    const log = logFile
      ? pino({ level: 'trace' }, pino.destination({ dest: logFile, sync: true }))
      : pino({ level: 'silent' })
    const plugin = await startPlugin({ module, config, log })
    const client = createInterlinkClient({ url: plugin.url, verbs: 'plugin' })
    let closing: Promise<void> | undefined
    const close = () => (closing ??= client.close().then(() => plugin.close()))
    t.teardown(close)
    return { root: config.root!, client, close }
  }

let counter = 0

export interface ScriptPod {
  readonly annotations?: Record<string, string>
  readonly spec?: Record<string, unknown>
  readonly container?: Record<string, unknown>
}

/** The body of a create: one container that runs a script on the node itself. */
export function scriptPod(
  script: string,
  { annotations, spec, container }: ScriptPod = {}
): RetrievedPodData {
  const name = `pod-${++counter}`
  return decode('RetrievedPodData', {
    pod: {
      metadata: { name, namespace: 'default', uid: `${name}-${process.pid}`, annotations },
      spec: {
        nodeName: 'vk',
        restartPolicy: 'Never',
        containers: [{ name: 'main', image: 'host', command: ['/bin/sh', '-c', script], ...container }],
        ...spec
      }
    },
    container: []
  }) as RetrievedPodData
}

export const refOf = ({ pod }: RetrievedPodData) => ({
  metadata: { name: pod.metadata.name!, namespace: pod.metadata.namespace!, uid: pod.metadata.uid! }
})

export const statusOf = async (client: InterlinkClient, pod: RetrievedPodData) =>
  (await client.status([refOf(pod)])).find(({ UID }) => UID === pod.pod.metadata.uid)

export const whenStatus = (
  client: InterlinkClient,
  pod: RetrievedPodData,
  holds: (status: PodStatus) => unknown,
  deadlineMs = 180_000
): Promise<PodStatus> =>
  eventually(
    async () => {
      const status = await statusOf(client, pod)
      return status && holds(status) ? status : undefined
    },
    { deadlineMs, everyMs: 50 }
  )

export const isOver = ({ containers }: PodStatus) => containers.every(({ state }) => state?.terminated)
export const isRunning = ({ containers }: PodStatus) => containers.every(({ state }) => state?.running)

export async function logOf(
  client: InterlinkClient,
  { pod }: RetrievedPodData,
  ContainerName = 'main',
  Opts: Partial<LogStruct['Opts']> = {}
): Promise<string> {
  const { name: PodName = '', namespace: Namespace = '', uid: PodUID = '' } = pod.metadata
  const { stream } = await client.logs(
    decode('LogStruct', { Namespace, PodUID, PodName, ContainerName, Opts })
  )
  return text(stream)
}
