/** What a case does with a backend: create a pod, look at it, read its logs, end it. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { InterlinkError } from '@interlink-ts/interlink-api/errors'
import {
  expandedAnnotation,
  type ConfigMap,
  type ContainerStatus,
  type LogStruct,
  type Pod,
  type PodStatus,
  type Secret
} from '@interlink-ts/interlink-api/wire'

/** More than the busiest machine needs for a pod. */
const patienceMs = 180_000

export type Spec = Record<string, unknown>

export interface Objects {
  readonly configmaps?: readonly ConfigMap[]
  readonly secrets?: readonly Secret[]
  readonly projected?: readonly ConfigMap[]
  readonly annotations?: Record<string, string>
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  /** Its create is not made again where that could help. */
  readonly once?: boolean
}

/** What every pod is made of. */
export interface Makings {
  /** With a POSIX shell and the usual tools. */
  readonly image: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Workbench {
  readonly image: string
  /** A container that runs a shell script. */
  shell(script: string, more?: Spec): Spec
  /** Creates a pod; what is left out of the spec is as an API server would fill it in. */
  run(spec: Spec, objects?: Objects): Promise<RunningPod>
  /** The refusal of a pod; fails where it is taken. */
  refusal(spec: Spec, objects?: Objects): Promise<InterlinkError>
  readonly client: InterlinkClient
  /** Ends what the case has left running. */
  cleanUp(): Promise<void>
}

/** A pod that the backend itself refuses: the case cannot be run on it. */
export class Refused extends Error {}

const everyMs = 150

export class RunningPod {
  readonly pod: Pod
  readonly jobId: string
  readonly #client: InterlinkClient

  constructor(pod: Pod, jobId: string, client: InterlinkClient) {
    this.pod = pod
    this.jobId = jobId
    this.#client = client
  }

  get uid(): string {
    return this.pod.metadata.uid!
  }

  async status(): Promise<PodStatus | undefined> {
    const [status] = await this.#client.status([this.pod])
    return status
  }

  /** The first status that fits. */
  async until(
    wanted: (status: PodStatus) => boolean,
    what: string,
    deadlineMs = patienceMs
  ): Promise<PodStatus> {
    const end = Date.now() + deadlineMs
    for (;;) {
      const status = await this.status()
      if (status && wanted(status)) return status
      if (Date.now() > end) throw new Error(`not ${what} in time; last: ${JSON.stringify(status)}`)
      await delay(everyMs)
    }
  }

  running(container = 'main'): Promise<PodStatus> {
    return this.until(
      (status) => of(status, container).state?.running !== undefined,
      `running (${container})`
    )
  }

  /** Once every container has ended. */
  ended(deadlineMs?: number): Promise<PodStatus> {
    const isOver = (status: PodStatus) =>
      status.containers.every(({ state }) => state?.terminated !== undefined) ||
      status.initContainers.some(
        ({ state }) =>
          (state?.terminated?.exitCode ?? 0) !== 0 &&
          status.containers.every(({ state }) => state?.running === undefined)
      )
    return this.until(isOver, 'ended', deadlineMs)
  }

  async gone(deadlineMs = patienceMs): Promise<void> {
    const end = Date.now() + deadlineMs
    while ((await this.status()) !== undefined) {
      if (Date.now() > end) throw new Error(`not gone in time; last: ${JSON.stringify(await this.status())}`)
      await delay(everyMs)
    }
  }

  async log(container = 'main', opts: Partial<LogStruct['Opts']> = {}): Promise<string> {
    const { stream } = await this.logStream(container, opts)
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks).toString()
  }

  /** Once the log holds the text. */
  async said(text: string, container = 'main', deadlineMs = 120_000): Promise<void> {
    await this.running(container)
    const end = Date.now() + deadlineMs
    while (!(await this.log(container)).includes(text)) {
      if (Date.now() > end) throw new Error(`"${text}" was not said in time`)
      await delay(everyMs)
    }
  }

  logStream(container = 'main', opts: Partial<LogStruct['Opts']> = {}, signal?: AbortSignal) {
    return this.#client.logs(
      {
        Namespace: this.pod.metadata.namespace!,
        PodUID: this.uid,
        PodName: this.pod.metadata.name!,
        ContainerName: container,
        Opts: {
          Tail: 0,
          Bytes: 0,
          Timestamps: false,
          Follow: false,
          Previous: false,
          SinceSeconds: 0,
          SinceTime: '0001-01-01T00:00:00Z',
          ...opts
        }
      },
      signal ? { signal } : {}
    )
  }

  async delete(graceSeconds: number): Promise<void> {
    await this.#client.delete({
      ...this.pod,
      metadata: {
        ...this.pod.metadata,
        deletionTimestamp: new Date().toISOString(),
        deletionGracePeriodSeconds: graceSeconds
      }
    })
  }
}

/** A container of a status, of whatever kind. */
export function of(status: PodStatus, container = 'main'): ContainerStatus {
  const all = [...status.containers, ...status.initContainers, ...(status.ephemeralContainers ?? [])]
  const found = all.find(({ name }) => name === container)
  if (!found) throw new Error(`no container ${container} in ${JSON.stringify(status)}`)
  return found
}

export function createWorkbench(url: string, { image, annotations }: Makings): Workbench {
  const client = createInterlinkClient({ url, nodeName: 'conformance' })
  const left: RunningPod[] = []
  const create = async (spec: Spec, objects: Objects) => {
    const pod = complete(spec, { ...objects, annotations: { ...annotations, ...objects.annotations } })
    const request = {
      pod,
      configmaps: [...(objects.configmaps ?? [])],
      secrets: [...(objects.secrets ?? [])],
      projectedvolumesmaps: [...(objects.projected ?? [])],
      jobscriptURL: ''
    }
    const send = () => client.create(request, { gather: true })
    const answer = await (objects.once ? send() : asNodesDo(send))
    const running = new RunningPod(pod, answer.PodJID, client)
    left.push(running)
    return running
  }
  return {
    image,
    client,
    shell: (script, more = {}) => ({ name: 'main', image, command: ['/bin/sh', '-c', script], ...more }),
    run: (spec, objects = {}) =>
      create(spec, objects).catch((error: InterlinkError) => {
        throw error.code === 'PLUGIN_REFUSED' ? new Refused(error.message) : error
      }),
    async refusal(spec, objects = {}) {
      const taken = await create(spec, objects).catch((error: InterlinkError) => error)
      if (taken instanceof RunningPod) throw new Error('the pod was taken')
      if (taken.code !== 'PLUGIN_REFUSED') throw taken
      return taken
    },
    async cleanUp() {
      const pods = left.splice(0)
      for (const pod of pods) await pod.delete(0)
      for (const pod of pods) await pod.gone()
      await client.close()
    }
  }
}

/** A create that may be made again is: it is the same pod. */
async function asNodesDo<T>(create: () => Promise<T>): Promise<T> {
  for (const pauseMs of [1000, 2000, 4000, 8000]) {
    try {
      return await create()
    } catch (error) {
      if ((error as InterlinkError).retry === 'no') throw error
      await delay(pauseMs)
    }
  }
  return create()
}

let counter = 0

/** The fields that an API server fills in, as far as a backend sees them. */
function complete(spec: Spec, { annotations, name, namespace = 'conformance', uid }: Objects): Pod {
  const defaults = (container: Spec): Spec => ({
    imagePullPolicy: 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    resources: {},
    ...container
  })
  const { containers = [], initContainers = [] } = spec as { containers?: Spec[]; initContainers?: Spec[] }
  return {
    metadata: {
      name: name ?? `case-${++counter}`,
      namespace,
      uid: uid ?? randomUUID(),
      annotations: { [expandedAnnotation]: 'env', ...annotations },
      creationTimestamp: new Date().toISOString()
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 30,
      nodeName: 'conformance',
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      securityContext: {},
      ...spec,
      initContainers: initContainers.map(defaults),
      containers: containers.map(defaults)
    }
  } as unknown as Pod
}
