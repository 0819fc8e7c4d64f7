/** A pod and what it refers to, as they travel to a backend; or what is missing for that. */
import { expandedAnnotation } from '@interlink-ts/interlink-api/wire'
import type {
  Container,
  EphemeralRequest,
  Pod,
  PodCreateRequests,
  Secret
} from '@interlink-ts/interlink-api/wire'
import { resolveEnvironment } from './environment.ts'
import { expand } from './expand.ts'
import type { Findings, Missing, Remark, Resolution } from './resolution.ts'
import { strip } from './strip.ts'
import { resolveVolumes, travellingVolume } from './volumes.ts'

export interface CreateRequest {
  /** Set when nothing is missing. */
  readonly request?: PodCreateRequests
  readonly missing: readonly Missing[]
  readonly remarks: readonly Remark[]
}

export interface CreateRequestOptions {
  /** `jobscriptURL` of the reference's protocol. */
  readonly jobScriptUrl?: string
  /** Leaves projected and downwardAPI volumes to the backend. */
  readonly disableProjectedVolumes?: boolean
}

export function createRequest(from: Resolution, options: CreateRequestOptions = {}): CreateRequest {
  const findings: Findings = { missing: [], remarks: [] }
  const { pod } = from
  const resolve = (container: Container) => resolveContainer(container, from, findings)
  const initContainers = pod.spec.initContainers?.map(resolve)
  const containers = pod.spec.containers.map(resolve)
  const volumes = resolveVolumes(from, findings, !options.disableProjectedVolumes)
  const pullSecrets = resolvePullSecrets(from, findings)
  const missing = unique(findings.missing)
  const remarks = unique(findings.remarks)
  if (missing.length > 0) return { missing, remarks }
  const bare = strip(pod)
  return {
    missing,
    remarks,
    request: {
      pod: {
        ...expandedPod(bare, {
          ...(initContainers && { initContainers }),
          containers,
          ...(bare.spec.volumes && { volumes: bare.spec.volumes.map(travellingVolume) })
        }),
        status: { ...bare.status, hostIP: from.addresses.hostIP, podIP: from.addresses.podIP }
      },
      ...volumes,
      secrets: unique([...volumes.secrets, ...pullSecrets]),
      jobscriptURL: options.jobScriptUrl ?? ''
    }
  }
}

export interface AdditionRequest extends Pick<CreateRequest, 'missing' | 'remarks'> {
  /** Set when nothing is missing. */
  readonly request?: EphemeralRequest
}

/** An ephemeral container with what it refers to resolved, in its pod, of which the rest travels as the API has it. */
export function additionRequest(from: Resolution, name: string): AdditionRequest {
  const findings: Findings = { missing: [], remarks: [] }
  const bare = strip(from.pod)
  const ephemeralContainers = bare.spec.ephemeralContainers?.map((container) =>
    container.name === name ? resolveContainer(container, from, findings) : container
  )
  const missing = unique(findings.missing)
  const remarks = unique(findings.remarks)
  if (missing.length > 0) return { missing, remarks }
  return {
    missing,
    remarks,
    request: { container: name, pod: expandedPod(bare, { ephemeralContainers }) }
  }
}

/** Says that what was expanded need not be again. */
const expandedPod = (pod: Pod, spec: Partial<Pod['spec']>): Pod => ({
  ...pod,
  metadata: {
    ...pod.metadata,
    annotations: { ...pod.metadata.annotations, [expandedAnnotation]: 'env,args' }
  },
  spec: { ...pod.spec, ...spec }
})

/** As with a kubelet, a pull is tried without those that are not there. */
function resolvePullSecrets({ pod, secrets }: Resolution, findings: Findings): Secret[] {
  const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []))
  const absent = names.filter((name) => !secrets.has(name))
  if (absent.length > 0) {
    const list = absent.join(', ')
    findings.remarks.push({
      type: 'Warning',
      reason: 'FailedToRetrieveImagePullSecret',
      message: `Unable to retrieve some image pull secrets (${list}); attempting to pull the image may not succeed.`
    })
  }
  return names.flatMap((name) => {
    const secret = secrets.get(name)
    return secret ? [strip(secret)] : []
  })
}

function resolveContainer(container: Container, from: Resolution, findings: Findings): Container {
  const { envFrom: _, ...rest } = container
  const env = resolveEnvironment(container, from, findings)
  const expanded = (words: string[]) => words.map((word) => expand(word, (name) => env.get(name)))
  return {
    ...rest,
    env: [...env].map(([name, value]) => ({ name, value })),
    ...(container.command && { command: expanded(container.command) }),
    ...(container.args && { args: expanded(container.args) })
  }
}

const unique = <T>(items: readonly T[]): T[] => [
  ...new Map(items.map((one) => [JSON.stringify(one), one])).values()
]

/** A pod as far as it may travel in a delete or a status call: no environment and no contents. */
export const travellingRef = (pod: Pod): Pod => strip(pod)
