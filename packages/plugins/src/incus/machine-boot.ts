import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { BackendContext, BackendState, SubmittedJob } from '../kit/backend.ts'
import { readJobState } from '../kit/jobs/job-state.ts'
import { endUnbegun } from './end-unbegun.ts'
import { pushJob } from './job-files.ts'
import { jobPath } from './first-program.ts'
import { exec, type ExecSession } from './rest/exec.ts'
import { InstanceFiles, type IncusConnection } from './rest/index.ts'

const pauseMs = 1000

/** api.InstanceState of Incus: -1 while the agent of a virtual machine does not answer. */
const State = Type.Object({ processes: Type.Integer() })

interface Booting {
  phase: 'booting' | 'begun' | 'failed' | 'givenUp'
  /** What is waited for, or why it has failed. */
  message: string
  session?: ExecSession
}

/** The job could not be begun, and will not be. */
class CannotBegin extends Error {}

/**
 * Begins the jobs of virtual machines that were started: waits for the agent of each, pushes the job and has it begun.
 * What is in the machine says how far that came, so that a plugin which is started anew goes on there.
 */
export class MachineBoot {
  readonly #incus: IncusConnection
  readonly #bootMs: number
  readonly #log: BackendContext['log']
  /** By UID. */
  readonly #booting = new Map<string, Booting>()

  /** @param bootMs until the job must have begun, from when its machine was first seen; milliseconds */
  constructor(incus: IncusConnection, bootMs: number, log: BackendContext['log']) {
    this.#incus = incus
    this.#bootMs = bootMs
    this.#log = log
  }

  /** Of a machine that runs: undefined once its job has begun. */
  async look(job: SubmittedJob): Promise<BackendState | undefined> {
    const known = this.#booting.get(job.uid) ?? (await this.#take(job))
    if (known.phase === 'begun') return undefined
    if (known.phase === 'failed') return { phase: 'gone', reason: 'MachineNotReady', message: known.message }
    return { phase: 'queued', message: known.message }
  }

  async #take(job: SubmittedJob): Promise<Booting> {
    const { supervisor } = await readJobState(job.dir)
    const other = this.#booting.get(job.uid)
    if (other) return other
    const booting: Booting = {
      phase: supervisor ? 'begun' : 'booting',
      message: 'the virtual machine boots: its agent does not answer yet'
    }
    this.#booting.set(job.uid, booting)
    if (!supervisor) void this.#begin(job, booting)
    return booting
  }

  /** It ends before it has begun. Resolves with whether it did. */
  async giveUp({ uid, dir }: Pick<SubmittedJob, 'uid' | 'dir'>): Promise<boolean> {
    const booting = this.#booting.get(uid)
    if (booting?.phase !== 'booting') return false
    booting.phase = 'givenUp'
    booting.session?.close()
    await endUnbegun(dir)
    return true
  }

  forget(uid: string): void {
    const booting = this.#booting.get(uid)
    this.#booting.delete(uid)
    if (booting?.phase !== 'booting') return
    booting.phase = 'givenUp'
    booting.session?.close()
  }

  close(): void {
    for (const uid of [...this.#booting.keys()]) this.forget(uid)
  }

  async #begin({ uid, jobId, dir }: SubmittedJob, booting: Booting): Promise<void> {
    const since = performance.now()
    const late = new AbortController()
    const deadline = setTimeout(() => {
      late.abort()
      booting.session?.close()
    }, this.#bootMs)
    deadline.unref()
    while (isBooting(booting)) {
      try {
        await this.#try(jobId, dir, booting, late.signal)
        if (isBooting(booting)) booting.phase = 'begun'
      } catch (err) {
        // Its agent comes and goes while it boots.
        this.#log.debug({ uid, instance: jobId, err }, 'the job of a virtual machine has not begun yet')
        if (!isBooting(booting)) break
        if (err instanceof CannotBegin || late.signal.aborted) {
          booting.phase = 'failed'
          const seconds = Math.round((performance.now() - since) / 1000)
          booting.message = err instanceof CannotBegin ? err.message : notWithin(seconds, err as Error)
        } else await delay(pauseMs, undefined, { signal: late.signal, ref: false }).catch(() => {})
      }
    }
    clearTimeout(deadline)
  }

  async #try(instance: string, dir: string, booting: Booting, late: AbortSignal): Promise<void> {
    const state = await this.#incus.get<unknown>(`/1.0/instances/${instance}/state`)
    if (!Value.Check(State, state) || state.processes < 0) throw new Error('its agent does not answer')
    const files = new InstanceFiles(this.#incus, instance)
    if ((await files.list(`${jobPath}/begun`)) !== undefined || !isBooting(booting)) return
    await pushJob(files, dir)
    if (!isBooting(booting)) return
    booting.message = 'the virtual machine has booted: its job is begun'
    const session = await exec(this.#incus, instance, { command: ['/bin/sh', `${jobPath}/machine.sh`] })
    booting.session = session
    if (late.aborted || !isBooting(booting)) session.close()
    session.stdin.end()
    session.stdout.resume()
    const said = text(session.stderr).catch(() => '')
    const code = await session.exited.finally(() => delete booting.session)
    // 129: the agent has gone meanwhile; more: it was ended from here.
    if (code >= 128) throw new Error('machine.sh, which begins the job, was ended before it had')
    if (code !== 0)
      throw new CannotBegin(`the job cannot be begun in the virtual machine: ${(await said).trim()}`)
  }
}

const isBooting = ({ phase }: Booting): boolean => phase === 'booting'

const notWithin = (seconds: number, { message }: Error): string =>
  `the virtual machine was not ready within ${seconds} seconds (options.bootSeconds): ${message}; its image needs incus-agent, and a disk \`agent:config\` by a profile where it knows neither 9p nor virtiofs`
