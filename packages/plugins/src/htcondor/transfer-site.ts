/**
 * Without a shared file system HTCondor carries the job directory to the machine as one file, and what the job has
 * written back at its end. While it runs, all else goes by a connection to it.
 */
import { createReadStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendContext, SubmittedJob } from '../kit/backend.ts'
import { packJob } from '../kit/jobs/pack-job.ts'
import { RemoteSite } from '../kit/sites/remote-site.ts'
import { keepSent, logsHad } from '../kit/sites/sent-files.ts'
import { sharedSite, type Site } from '../kit/sites/site.ts'
import type { HubAccess } from '../kit/streams/hub-access.ts'
import { TransportError, type Transport } from '../kit/transport/transport.ts'
import { bundleFile, sentFile } from './job-program.ts'

/** Between two tries to reach a job. */
const shortestMs = 1000
const longestMs = 30_000

interface Followed {
  readonly job: SubmittedJob
  readonly over: AbortController
}

export class TransferSite implements Site {
  readonly #place: string
  readonly #shell: string
  readonly #log: BackendContext['log']
  #access: HubAccess | undefined
  /** Jobs that run, by their directory. */
  readonly #followed = new Map<string, Followed>()

  /** `place`: the directory of every machine in which those of jobs appear. */
  constructor(place: string, shell: string, log: BackendContext['log']) {
    this.#place = place
    this.#shell = shell
    this.#log = log
  }

  /** How jobs are reached while they run; without it nothing is known of them before their end. */
  connect(access: HubAccess | undefined): void {
    this.#access = access
  }

  seenAs(dir: string): Promise<string> {
    return Promise.resolve(join(this.#place, basename(dir)))
  }

  async stage(dir: string): Promise<void> {
    await writeFile(join(dir, bundleFile), await packJob(dir), { mode: 0o600 })
  }

  async ensure(): Promise<void> {}
  async fetch(): Promise<void> {}

  async add(dir: string, container: string): Promise<void> {
    await this.#reached(dir).add(dir, container)
  }

  async stop(dir: string, graceSeconds: number): Promise<void> {
    await sharedSite.stop(dir, graceSeconds)
    if (this.#followed.has(dir)) await this.#reached(dir).write(dir, 'stop', `${graceSeconds}\n`)
  }

  async write(dir: string, name: string, text: string): Promise<void> {
    await this.#reached(dir).write(dir, name, text)
  }

  async read(dir: string, name: string): Promise<string | undefined> {
    return this.#reached(dir).read(dir, name)
  }

  async usage(dirs: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = await Promise.all(
      dirs
        .filter((dir) => this.#followed.has(dir))
        .map((dir) =>
          this.#reached(dir)
            .usage([dir])
            .catch(() => new Map<string, string>())
        )
    )
    return new Map(found.flatMap((one) => [...one]))
  }

  /** What a job writes comes from now on, as long as it runs. */
  follow(job: SubmittedJob): void {
    if (!this.#access || this.#followed.has(job.dir)) return
    const followed = { job, over: new AbortController() }
    this.#followed.set(job.dir, followed)
    void this.#follow(followed)
  }

  /** It runs no more; it may run again. */
  leave(dir: string): void {
    this.#followed.get(dir)?.over.abort()
    this.#followed.delete(dir)
  }

  /** Takes what HTCondor has brought back. */
  async collect(dir: string): Promise<void> {
    this.leave(dir)
    const path = join(dir, sentFile)
    await logsHad(dir)
    try {
      await keepSent(createReadStream(path), dir)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      this.#log.warn({ dir, err: error }, 'what a job has sent back cannot be read')
    }
    await rm(path, { force: true })
  }

  async release(dir: string): Promise<void> {
    this.leave(dir)
    await rm(join(dir, bundleFile), { force: true })
  }

  close(): void {
    for (const dir of [...this.#followed.keys()]) this.leave(dir)
  }

  async #follow({ job, over: { signal } }: Followed): Promise<void> {
    for (let pauseMs = shortestMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, longestMs)) {
      try {
        const there = await this.seenAs(job.dir)
        const argv = [this.#shell, join(there, 'send.sh'), there, ...(await logsHad(job.dir))]
        const sending = await this.#access!.run(job, argv, signal)
        sending.stderr.resume()
        pauseMs = shortestMs
        if (await keepSent(sending.stdout as AsyncIterable<Buffer>, job.dir)) return
      } catch (err) {
        if (!signal.aborted)
          this.#log.debug({ uid: job.uid, err }, 'what a job writes cannot be followed; tried again')
      }
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  #reached(dir: string): RemoteSite {
    const followed = this.#followed.get(dir)
    if (!followed || !this.#access) throw new TransportError('the job is not reached: it does not run')
    return new RemoteSite(jobTransport(this.#access, followed.job), this.#place)
  }
}

/** The machine of a job, while it runs. */
const jobTransport = (access: HubAccess, job: SubmittedJob): Transport => ({
  where: `the machine of job ${job.jobId}`,
  async run(argv, { input, timeoutMs }) {
    const signal = AbortSignal.timeout(timeoutMs)
    const { stdin, stdout, stderr, exit } = await access.run(job, argv, signal)
    stdin.end(input ?? '')
    const [said, words, code] = await Promise.all([buffer(stdout), buffer(stderr), exit])
    return { code, stdout: said, stderr: words.toString() }
  },
  open: () => Promise.reject(new TransportError('only commands that end are run beside a job')),
  close: async () => {}
})
