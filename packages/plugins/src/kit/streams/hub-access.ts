import { PluginError } from '../../errors.ts'
import type { SubmittedJob } from '../backend.ts'
import { Hub, type Beat, type LiveProcess } from './hub.ts'
import type { JobAccess } from './job-streams.ts'

/** A way to the machine that runs a job. */
export interface Way {
  readonly name: string
  /** Where a connection may be dead without a word of it. */
  readonly beat?: Beat
  /** Starts hub.pl there, see `hubArgv`. */
  open(job: SubmittedJob): Promise<LiveProcess>
}

export interface HubAccessOptions {
  /** Tried in this order, from the one on that has worked last. */
  readonly ways: readonly Way[]
  /** How long each has. */
  readonly timeoutMs: number
  /** How long a hub without a session is kept. @default 60 000 */
  readonly idleMs?: number
}

export interface HubAccess extends Required<Pick<JobAccess, 'run' | 'command' | 'connect'>> {
  /** Names of the ways that come into question: one alone, once it has worked. */
  readonly via: readonly string[]
  /** Ends the sessions of a job, or all. */
  close(uid?: string): void
}

/**
 * Everything that is done in a job goes through one program beside it, so that a batch system sees one step of a job,
 * however many sessions there are. `run` and `connect` fail with PLUGIN_NO_WAY where no way leads there.
 */
export function hubAccess({ ways, timeoutMs, idleMs = 60_000 }: HubAccessOptions): HubAccess {
  const hubs = new Map<string, Promise<Hub>>()
  const idle = new Map<string, NodeJS.Timeout>()
  let worked: Way | undefined

  const close = (uid: string): void => {
    clearTimeout(idle.get(uid))
    idle.delete(uid)
    void hubs.get(uid)?.then(
      (hub) => hub.close(),
      () => {}
    )
    hubs.delete(uid)
  }

  const bringUp = async (job: SubmittedJob): Promise<Hub> => {
    const reasons: string[] = []
    for (const way of worked ? [worked, ...ways.filter((each) => each !== worked)] : ways) {
      try {
        const hub = new Hub(await way.open(job), way.beat)
        await hub.ready(timeoutMs)
        worked = way
        return hub
      } catch (error) {
        reasons.push(`${way.name}: ${(error as Error).message}`)
      }
    }
    throw new PluginError('PLUGIN_NO_WAY', { reasons: reasons.join('; ') })
  }

  const hubOf = async (job: SubmittedJob): Promise<Hub> => {
    const { uid } = job
    const known = hubs.get(uid)
    if ((await known?.catch(() => undefined))?.isOver && hubs.get(uid) === known) close(uid)
    const made = hubs.get(uid) ?? bringUp(job)
    hubs.set(uid, made)
    made.catch(() => hubs.get(uid) === made && hubs.delete(uid))
    const hub = await made
    watchIdle(uid, hub)
    return hub
  }

  const watchIdle = (uid: string, hub: Hub): void => {
    clearTimeout(idle.get(uid))
    const look = () => (hub.isOver || hub.sessions === 0 ? close(uid) : watchIdle(uid, hub))
    idle.set(uid, setTimeout(look, idleMs).unref())
  }

  return {
    run: async (job, argv, signal) => (await hubOf(job)).run(argv, signal),
    command: async (job, argv, signal) => (await hubOf(job)).command(argv, signal),
    connect: async (job, port, signal) => (await hubOf(job)).connect(port, signal),
    get via() {
      return (worked ? [worked] : ways).map(({ name }) => name)
    },
    close: (uid) => (uid === undefined ? [...hubs.keys()] : [uid]).forEach(close)
  }
}
