import { execFile, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Card } from '../kit/devices/card.ts'
import type {
  Backend,
  BackendContext,
  BackendModule,
  BackendState,
  Job,
  Streams,
  SubmittedJob
} from '../kit/backend.ts'
import { writeDurable } from '../kit/jobs/durable-file.ts'
import { processStart } from '../kit/jobs/proc.ts'
import { INHERITED } from '../kit/supervisor/render-job.ts'
import { checkMachine } from './check.ts'
import { usageOf } from './usage.ts'
import { jobStreams } from '../kit/streams/job-streams.ts'
import { localAccess } from '../kit/streams/local-access.ts'
import { bootId, findJob, isAlive, jobIdOf, parseJobId, tryKill, type JobProcess } from './job-process.ts'
import { findMachine, type Machine } from './machine.ts'
import { ProcessOptions } from './options.ts'
import { offeredResources } from './offered-resources.ts'
import { prepareIsolation } from './prepare-isolation.ts'
import { renderPlan } from './render-plan.ts'
import { prepareScratch, removeScratch } from './scratch.ts'

/** Runs pods as processes of this machine, each under its supervisor, which outlives the plugin. */
export const processBackend: BackendModule = {
  name: 'process',
  options: ProcessOptions,
  takesDevices: true,
  create: (options, context) => new ProcessBackend(options as Partial<ProcessOptions>, context)
}

class ProcessBackend implements Backend {
  readonly name = 'process'
  readonly streams: Streams
  readonly #options: ProcessOptions
  readonly #log: BackendContext['log']
  readonly #boot = bootId()
  #machine: Promise<Machine> | undefined

  constructor(options: Partial<ProcessOptions>, { log }: BackendContext) {
    this.#options = completeOptions(options)
    const { shell } = this.#options
    this.streams = jobStreams({ ...localAccess(jobEnvironment(shell)), shell })
    this.#log = log
  }

  async check() {
    return checkMachine(await this.#facts())
  }

  async honours() {
    const { namespaces, userNamespaces, uid } = await this.#facts()
    const isolated = namespaces !== undefined
    return {
      user: isolated && userNamespaces,
      userNamespace: isolated && userNamespaces && uid !== 0,
      capabilities: isolated && uid !== 0,
      noNewPrivileges: isolated && uid !== 0,
      readOnlyRoot: isolated,
      hostname: isolated
    }
  }

  async render(...[plan, dir]: Parameters<Backend['render']>) {
    return renderPlan(plan, dir, await this.#facts(), this.#options)
  }

  /** The supervisor leads a session of its own, so that nothing that ends the plugin ends it. */
  async submit(job: Job) {
    await prepareScratch(job)
    await prepareIsolation(job)
    const said = await open(join(job.dir, 'job.out'), 'a', 0o600)
    try {
      const child = spawn(this.#options.shell, [join(job.dir, 'job.sh')], {
        cwd: '/',
        detached: true,
        stdio: ['ignore', said.fd, said.fd],
        env: jobEnvironment(this.#options.shell)
      })
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve)
        child.once('error', reject)
      })
      child.unref()
      const pid = child.pid!
      const start = (await processStart(pid)) ?? '0'
      return { jobId: jobIdOf({ pid, start, boot: await this.#boot }) }
    } finally {
      await said.close()
    }
  }

  async find(job: Job) {
    const found = await findJob(job.dir, await this.#boot)
    return found ? { jobId: jobIdOf(found) } : undefined
  }

  async list(jobs: readonly SubmittedJob[]) {
    const boot = await this.#boot
    const states = new Map<string, BackendState>()
    await Promise.all(
      jobs.map(async ({ uid, jobId }) => {
        const process = parseJobId(jobId)
        const alive = process?.boot === boot && (await isAlive(process))
        states.set(uid, { phase: alive ? 'active' : 'gone' })
      })
    )
    return states
  }

  /** What a supervisor that is dead has left behind is ended at once. */
  async cancel(job: SubmittedJob, graceSeconds: number) {
    await writeDurable(join(job.dir, 'stop'), `${graceSeconds}\n`)
    const process = await this.#running(job)
    if (process && tryKill(process.pid, 'SIGTERM')) return
    await promisify(execFile)(this.#options.shell, [join(job.dir, 'supervisor.sh'), 'reap', job.dir]).catch(
      (err: unknown) => this.#log.warn({ uid: job.uid, err }, 'processes of a dead job were not looked for')
    )
  }

  /** It lies where the job runs. */
  async add() {}

  async release(job: SubmittedJob) {
    await removeScratch(job)
  }

  usage(jobs: readonly SubmittedJob[]) {
    return usageOf(jobs)
  }

  refuseCard({ sharing }: Card) {
    return sharing.type === 'mdev'
      ? 'a mediated device is for virtual machines; lend the card whole, by MIG or by timeslice'
      : undefined
  }

  async resources() {
    return offeredResources(this.#options)
  }

  async #running(job: SubmittedJob): Promise<JobProcess | undefined> {
    const process = parseJobId(job.jobId)
    return process && process.boot === (await this.#boot) && (await isAlive(process)) ? process : undefined
  }

  #facts(): Promise<Machine> {
    this.#machine ??= findMachine(this.#options)
    return this.#machine
  }
}

/** What the supervisor hands on to the tools in front of a container. The rest, which may hold secrets, is the plugin's own. */
const jobEnvironment = (shell: string): NodeJS.ProcessEnv => {
  const names = ['PATH', ...INHERITED]
  const kept = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  return { ...Object.fromEntries(kept), INTERLINK_SH: shell } as NodeJS.ProcessEnv
}

const completeOptions = (options: Partial<ProcessOptions>): ProcessOptions => ({
  shell: '/bin/sh',
  ...options,
  images: { directories: [], environment: {}, ...options.images },
  reserved: { cpu: 0, memoryBytes: 0, ...options.reserved },
  resources: { ...options.resources }
})
