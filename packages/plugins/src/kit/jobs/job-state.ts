import { readdir, readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'

/**
 * What the supervisor's state files say, parsed. See docs/reference/job-directory.md.
 * All times are epoch milliseconds.
 */
export interface JobState {
  readonly supervisor?: {
    readonly pid: number
    readonly startedAt: number
    readonly beatAt: number
    /** When a signal from outside told the job to end. */
    readonly toldAt?: number
  }
  /** Present once every container has ended and nothing will be restarted. */
  readonly finished?: { readonly at: number; readonly reason?: string; readonly message?: string }
  readonly containers: ReadonlyMap<string, ContainerRecord>
  /** What was last said of the images that are fetched for containers, by the names of these. */
  readonly images: ReadonlyMap<string, ImageRecord>
  /** What whoever made the containers had to say. */
  readonly notices: readonly ImageRecord[]
  /** IPv4 or IPv6, of a job that has a network of its own. */
  readonly podIP?: string
}

/** The words of a kubelet: `Pulling`, `Pulled`, `ErrImagePull`, `ImagePullBackOff`, `ErrImageNeverPull`, `CreateContainerError`. */
export interface ImageRecord {
  readonly reason: string
  readonly message: string
}

/** Reason of a finished pod whose supervisor got a signal from outside; as a kubelet's at the shutdown of its node. */
export const TOLD_TO_END = 'Terminated'

export interface ContainerRecord {
  readonly state: 'waiting' | 'running' | 'terminated'
  readonly reason?: string
  readonly message?: string
  readonly restarts: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly exitCode?: number
  readonly signal?: number
  readonly ready: boolean
  /** The startup probe has passed, or there is none. */
  readonly up: boolean
  /** The last thing worth an event, of the latest attempt: `Unhealthy`, `FailedPreStopHook`, … */
  readonly notice?: { readonly reason: string; readonly message: string; readonly at: number }
  readonly last?: LastAttempt
}

export interface LastAttempt {
  readonly exitCode: number
  readonly signal?: number
  readonly reason?: string
  readonly message?: string
  readonly startedAt?: number
  readonly finishedAt?: number
}

/** No beat for this long means that the supervisor is dead or its machine cut off; it renews every 10 s. */
export const STALE_BEAT_MS = 60_000

/** Whether the supervisor has stopped writing without having said that the job is finished. `now` in epoch ms. */
export function isAbandoned(state: JobState, now: number): boolean {
  return !state.finished && state.supervisor !== undefined && now - state.supervisor.beatAt > STALE_BEAT_MS
}

type Values = ReadonlyMap<string, string>

/** The `key=value` lines of a state file; what is no such line is passed over. `\n` and `\\` stand for newline and backslash. */
export function parseState(text: string): Values {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) values.set(line.slice(0, at), unescapeValue(line.slice(at + 1)))
  }
  return values
}

const unescapeValue = (value: string): string =>
  value.replace(/\\([n\\])/g, (_, code: string) => (code === 'n' ? '\n' : '\\'))

/** Epochs, codes and counts: whole and not negative; anything else is as if it were not there. */
function whole(values: Values, key: string): number | undefined {
  const text = values.get(key)
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  return Number(text)
}

const some = (values: Values, key: string): string | undefined => values.get(key) || undefined

function defined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}

function containerRecord(values: Values): ContainerRecord | undefined {
  const state = values.get('state')
  if (state !== 'waiting' && state !== 'running' && state !== 'terminated') return undefined
  const lastExit = whole(values, 'last.exit')
  const noticeReason = some(values, 'notice.reason')
  return defined<ContainerRecord>({
    state,
    reason: some(values, 'reason'),
    message: some(values, 'message'),
    restarts: whole(values, 'restarts') ?? 0,
    startedAt: whole(values, 'started'),
    finishedAt: whole(values, 'finished'),
    exitCode: whole(values, 'exit'),
    signal: whole(values, 'signal'),
    ready: values.get('ready') === '1',
    up: values.get('up') === '1',
    notice:
      noticeReason === undefined
        ? undefined
        : {
            reason: noticeReason,
            message: values.get('notice.message') ?? '',
            at: whole(values, 'notice.at') ?? 0
          },
    last:
      lastExit === undefined
        ? undefined
        : defined({
            exitCode: lastExit,
            signal: whole(values, 'last.signal'),
            reason: some(values, 'last.reason'),
            message: some(values, 'last.message'),
            startedAt: whole(values, 'last.started'),
            finishedAt: whole(values, 'last.finished')
          })
  })
}

const imageRecord = (values: Values): ImageRecord | undefined => {
  const reason = some(values, 'reason')
  return reason === undefined ? undefined : { reason, message: values.get('message') ?? '' }
}

/** What is not there, cannot be read or is no text says nothing: undefined. */
const readState = (path: string): Promise<Values | undefined> =>
  readFile(path, 'utf8').then(parseState, () => undefined)

/** Most of the jobs of a long queue: one for all of them. */
export const nothing: JobState = { containers: new Map(), images: new Map(), notices: [] }

const isRecord = (name: string) => /^([cin]\.|address$)/.test(name) && !name.endsWith('.tmp')

async function readRecords(state: string): Promise<readonly (readonly [string, Values | undefined])[]> {
  const names = (await readdir(state).catch(() => [])).filter(isRecord)
  return Promise.all(names.map(async (name) => [name, await readState(join(state, name))] as const))
}

/** Of the job as a whole: its run, and its end. */
async function readFrame(state: string) {
  const [supervisor, pod] = await Promise.all(
    ['supervisor', 'pod'].map((name) => readState(join(state, name)))
  )
  return {
    supervisor,
    pod,
    id: `${supervisor?.get('pid')} ${supervisor?.get('started')} ${pod?.get('finished')}`
  }
}

/** The state of the job in `dir`. Never throws: a file that is missing or garbage counts as not written. */
export async function readJobState(dir: string): Promise<JobState> {
  const state = join(dir, 'state')
  let before: Awaited<ReturnType<typeof readFrame>>
  let after = await readFrame(state)
  let records: Awaited<ReturnType<typeof readRecords>>
  // A run and the end of the pod are told after their containers and the address, a word from outside before: containers
  // are at least as new as `before`, and at most as `after`.
  do {
    before = after
    records = await readRecords(state)
    if (!before.supervisor && !before.pod && records.length === 0) return nothing
    after = await readFrame(state)
  } while (before.id !== after.id)
  const { supervisor, pod } = after
  const containers = new Map<string, ContainerRecord>()
  const images = new Map<string, ImageRecord>()
  const notices: ImageRecord[] = []
  let podIP: string | undefined
  for (const [file, values] of records) {
    if (file === 'address') {
      podIP = values?.get('ip')
      continue
    }
    const name = file.slice('c.'.length)
    const container = values && file.startsWith('c.') ? containerRecord(values) : undefined
    const said = values && !file.startsWith('c.') ? imageRecord(values) : undefined
    if (container) containers.set(name, container)
    if (said && file.startsWith('i.')) images.set(name, said)
    else if (said) notices.push(said)
  }
  const pid = supervisor && whole(supervisor, 'pid')
  const finishedAt = pod && whole(pod, 'finished')
  return defined<JobState>({
    supervisor:
      supervisor && pid !== undefined
        ? defined({
            pid,
            startedAt: whole(supervisor, 'started') ?? 0,
            beatAt: whole(supervisor, 'beat') ?? 0,
            toldAt: whole(supervisor, 'told')
          })
        : undefined,
    finished:
      pod && finishedAt !== undefined
        ? defined({ at: finishedAt, reason: some(pod, 'reason'), message: some(pod, 'message') })
        : undefined,
    containers,
    images,
    notices,
    podIP: podIP !== undefined && isIP(podIP) ? podIP : undefined
  })
}
