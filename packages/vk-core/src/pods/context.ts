/** What the steps of a pod's life share. */
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { Clock } from '../kube/clock.ts'
import type { Log } from '../kube/log.ts'
import type { KubeClient } from '../kube/types.ts'
import type { PodTeller } from './pod-events.ts'
import type { PodObjects } from './pod-objects.ts'
import type { PodRecord } from './record.ts'
import type { StatusFeed } from './status-feed.ts'

export interface PodManagerConfig {
  /** Sent as `jobscriptURL`. */
  readonly jobScriptUrl?: string
  readonly disableProjectedVolumes?: boolean
  /** Address of the Kubernetes API as jobs reach it, and its CA (PEM). */
  readonly kubernetesApi?: { readonly host?: string; readonly port?: string; readonly caData?: string }
  /** `refuse` leaves pods of DaemonSets pending, unless they carry {@link allowDaemonSetAnnotation}. @default 'refuse' */
  readonly daemonSets?: 'refuse' | 'run'
  /** Pause between two rounds of asking a backend without watch. @default 5000 */
  readonly statusIntervalMs?: number
  /** A job that the backend does not name for so long is lost. @default 5000 where the backend answers for all, else 60000 */
  readonly lostAfterMs?: number
  /** Deadline of a create. @default 120000 */
  readonly createTimeoutMs?: number
  /** Creates and deletes at once. @default 16 */
  readonly backendCalls?: number
  /** Status patches at once. @default 24 */
  readonly statusPatches?: number
}

/** On a DaemonSet's pod template: run it on virtual nodes as well. */
export const allowDaemonSetAnnotation = 'interlink.io/allow-daemonset'

export interface PodContext {
  readonly kube: KubeClient
  readonly interlink: InterlinkClient
  readonly nodeName: string
  readonly nodeIP: () => string
  readonly allocatable: () => Readonly<Record<string, string>>
  readonly config: PodManagerConfig
  readonly clock: Clock
  readonly log: Log
  readonly teller: PodTeller
  readonly objects: PodObjects
  readonly feed: StatusFeed
  /** Its name, as it says itself. */
  readonly backend: () => string | undefined
  /** Something that the API should know has changed; `afterMs` waits for more of it. */
  readonly changed: (record: PodRecord, afterMs?: number) => void
}

/** How long a job may be unnamed by its backend before it is lost. */
export const lostAfter = ({ config, feed }: Pick<PodContext, 'config' | 'feed'>) =>
  config.lostAfterMs ??
  (feed.capabilities.has('watch') || feed.capabilities.has('status.batch') ? 5000 : 60_000)

/** The backend restarts containers by policy: only the plugins that say what they can do are known to. */
export const restarts = (feed: StatusFeed) => feed.capabilities.size > 0
