import { parseSinfo, sinfoArgv, type ClusterFacts } from './cluster-facts.ts'
import * as commands from './commands.ts'
import type { SlurmOptions } from './options.ts'
import type { SlurmJob } from './states.ts'
import { submitFailure } from './submit-failures.ts'
import { wordsOf } from '../kit/transport/words.ts'
import { askedOnce } from '../kit/transport/asked-once.ts'
import { atMost, type Limiter } from '../kit/transport/at-most.ts'
import { lockedArgv, untilUnlocked } from '../kit/transport/locked.ts'
import type { Ran, Transport } from '../kit/transport/transport.ts'

const accountingRetryMs = 600_000

/** Slurm through its own clients: each question once, however many ask it at the same time. */
export class SlurmClient {
  readonly #transport: Transport
  readonly #options: SlurmOptions
  readonly #now: () => number
  readonly #submitting: Limiter
  readonly #users = new Map<string, Promise<string | undefined>>()
  #root: Promise<boolean> | undefined
  /** There is no accounting before this, epoch ms. */
  #noAccountingUntil = 0

  constructor(transport: Transport, options: SlurmOptions, now: () => number = Date.now) {
    this.#transport = transport
    this.#options = options
    this.#now = now
    this.#submitting = atMost(options.submissions)
  }

  /**
   * Hands a job over. `lock` is a file that is held meanwhile.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good, any other error where a later try may do
   */
  submit(args: readonly string[], comment: string, script: string, lock: string): Promise<string> {
    return this.#submitting(async () => {
      const argv = lockedArgv(lock, commands.sbatchArgv(args, comment))
      const ran = await this.#transport.run(argv, {
        input: script,
        timeoutMs: this.#options.timeouts.submitSeconds * 1000
      })
      const jobId = ran.code === 0 ? commands.parseJobId(ran.stdout.toString()) : undefined
      if (jobId === undefined) throw submitFailure(ran)
      return jobId
    })
  }

  /** Resolves when no submission of this lock file is under way any more, be it of a plugin that is gone. */
  settled(lock: string): Promise<void> {
    return untilUnlocked(this.#transport, lock, this.#options.timeouts.submitSeconds * 1000)
  }

  /** Every job of this account that the controller knows. What is answered was asked after the call. */
  readonly jobs = askedOnce(async () => commands.parseSqueue(await this.#ask(commands.squeueArgv())))

  /** Whether the cluster keeps accounts, as far as is known. */
  get keepsAccounts(): boolean {
    return this.#now() >= this.#noAccountingUntil
  }

  /** Of jobs that have ended, as the accounts have them by now; none where the cluster keeps no accounts or they are away. */
  async ended(jobIds: readonly string[]): Promise<SlurmJob[]> {
    if (jobIds.length === 0 || !this.keepsAccounts) return []
    try {
      const found: SlurmJob[] = []
      for (let at = 0; at < jobIds.length; at += 500)
        found.push(...commands.parseSacct(await this.#ask(commands.sacctArgv(jobIds.slice(at, at + 500)))))
      return found
    } catch (error) {
      if (/accounting storage is disabled|not there/i.test((error as Error).message))
        this.#noAccountingUntil = this.#now() + accountingRetryMs
      return []
    }
  }

  /** Whether the jobs are root's. */
  isRoot(): Promise<boolean> {
    this.#root ??= this.#ask(['id', '-u']).then((uid) => uid.trim() === '0')
    this.#root.catch(() => (this.#root = undefined))
    return this.#root
  }

  /** The name of a user on the machine of Slurm's clients, if it has one. */
  userName(uid: string): Promise<string | undefined> {
    const known = this.#users.get(uid)
    if (known) return known
    const asked = this.#run(commands.userArgv(uid)).then(
      ({ code, stdout }) => (code === 0 && stdout.toString().split(':')[0]) || undefined,
      () => undefined
    )
    this.#users.set(uid, asked)
    return asked
  }

  /** TERM for the supervisor of a job that runs; one that waits is taken out of the queue. */
  async terminate(jobId: string): Promise<void> {
    await this.#cancel(commands.cancelWaitingArgv(jobId))
    await this.#cancel(commands.terminateArgv(jobId))
  }

  /** Slurm's own way: TERM for everything, then KILL. */
  cancel(jobId: string): Promise<void> {
    return this.#cancel(commands.cancelArgv(jobId))
  }

  async #cancel(argv: readonly string[]): Promise<void> {
    const ran = await this.#run(argv)
    if (ran.code !== 0 && !commands.isUnknownJob(ran.stderr)) throw failed('scancel', ran)
  }

  /** Of all partitions, or of those named with commas. */
  async facts(partitions?: string): Promise<ClusterFacts> {
    return parseSinfo(await this.#ask(sinfoArgv(partitions)))
  }

  /** `22.05.8` */
  async version(): Promise<string> {
    return /(\d+\.\d+\S*)/.exec(await this.#ask(['sinfo', '--version']))?.[1] ?? 'unknown'
  }

  async config(): Promise<ReadonlyMap<string, string>> {
    return commands.parseConfig(await this.#ask(['scontrol', 'show', 'config']))
  }

  async job(jobId: string): Promise<ReturnType<typeof commands.parseJob>> {
    return commands.parseJob(await this.#ask(['scontrol', '--oneliner', 'show', 'job', jobId]))
  }

  /** The node of its batch script. */
  async batchHost(jobId: string): Promise<string> {
    const host = (await this.#ask(commands.batchHostArgv(jobId))).trim()
    if (!/^[\w][\w.-]*$/.test(host)) throw new Error(`job ${jobId} has no node`)
    return host
  }

  /** Accounts of the user, each with its partition and QOS where it is bound to them. */
  async accounts(user: string): Promise<string[]> {
    const argv = ['sacctmgr', '--noheader', '--parsable2', 'show', 'associations', `user=${user}`]
    const lines = (await this.#ask([...argv, 'format=account,partition,qos'])).trim().split('\n')
    return lines.filter(Boolean).map((line) => line.split('|').filter(Boolean).join(' '))
  }

  async #ask(argv: readonly string[]): Promise<string> {
    const ran = await this.#run(argv)
    if (ran.code !== 0) throw failed(argv[0]!, ran)
    return ran.stdout.toString()
  }

  #run(argv: readonly string[]): Promise<Ran> {
    return this.#transport.run(argv, { timeoutMs: this.#options.timeouts.querySeconds * 1000 })
  }
}

const failed = (program: string, { code, stderr }: Ran): Error =>
  new Error(wordsOf(stderr) || `${program} ended with ${code ?? 'a signal'}`)
