import { wordsOf } from '../kit/transport/words.ts'
import { lockedArgv, untilUnlocked } from '../kit/transport/locked.ts'
import type { Ran, Transport } from '../kit/transport/transport.ts'
import * as commands from './commands.ts'
import type { HtcondorOptions } from './options.ts'
import { parseSlots, statusArgv, type SlotFacts } from './slot-facts.ts'
import type { CondorJob } from './states.ts'
import { submitFailure } from './submit-failures.ts'

type ClientOptions = Pick<HtcondorOptions, 'schedd' | 'pool' | 'timeouts' | 'slots'>

/** HTCondor through its own clients. */
export class CondorClient {
  readonly #transport: Transport
  readonly #options: ClientOptions
  readonly #queue: commands.Queue

  constructor(transport: Transport, options: ClientOptions) {
    const { schedd, pool } = options
    this.#transport = transport
    this.#options = options
    this.#queue = { ...(schedd === undefined ? {} : { schedd }), ...(pool === undefined ? {} : { pool }) }
  }

  /**
   * Hands jobs over, all or none, and resolves with their ids in the order of the description. `locks` are the files of
   * the jobs that are held meanwhile.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good, any other error where a later try may do
   */
  async submit(description: string, locks: readonly string[], spool = false): Promise<string[]> {
    const argv = locks.reduceRight<readonly string[]>(
      (command, lock) => lockedArgv(lock, command),
      commands.submitArgv(this.#queue, spool)
    )
    const ran = await this.#transport.run(argv, {
      input: description,
      timeoutMs: this.#options.timeouts.submitSeconds * 1000
    })
    const jobIds = ran.code === 0 ? commands.parseJobIds(ran.stdout.toString()) : []
    if (jobIds.length !== locks.length) throw submitFailure(ran)
    return jobIds
  }

  /** Resolves when no submission of this lock file is under way any more, be it of a plugin that is gone. */
  settled(lock: string): Promise<void> {
    return untilUnlocked(this.#transport, lock, this.#options.timeouts.submitSeconds * 1000)
  }

  /** What is in the queue now. */
  async jobs(constraint: string): Promise<CondorJob[]> {
    return commands.parseJobs(await this.#ask(commands.queueArgv(this.#queue, constraint)))
  }

  /** What has left the queue since then, epoch ms, the newest first. */
  async left(constraint: string, limit: number, sinceMs: number): Promise<CondorJob[]> {
    const argv = commands.historyArgv(this.#queue, constraint, { limit, since: sinceMs / 1000 })
    return commands.parseJobs(await this.#ask(argv), true)
  }

  /** Idempotent: a constraint that meets nothing is none's fault. */
  async remove(constraint: string, reason: string): Promise<void> {
    await this.#act(commands.removeArgv(this.#queue, constraint, reason))
  }

  /** Of jobs that were removed, whose machines do not answer. */
  async forget(constraint: string, reason: string): Promise<void> {
    await this.#act(commands.forgetArgv(this.#queue, constraint, reason))
  }

  async release(constraint: string): Promise<void> {
    await this.#act(commands.releaseArgv(this.#queue, constraint))
  }

  /** What spooled jobs have left comes back to their directories. */
  async retrieve(constraint: string): Promise<void> {
    await this.#act(commands.transferArgv(this.#queue, constraint))
  }

  /** `such`: an expression that they fulfil. */
  async slots(such = this.#options.slots): Promise<SlotFacts[]> {
    return parseSlots(await this.#ask(statusArgv(this.#queue, such)))
  }

  /** The value of a name in the clients' configuration. */
  async configured(name: string): Promise<string> {
    return (await this.#ask(['condor_config_val', name])).trim()
  }

  /** `23.9.6` */
  async version(): Promise<string> {
    return /(\d+\.\d+\.\d+)/.exec(await this.#ask(['condor_version']))?.[1] ?? 'unknown'
  }

  async #act(argv: readonly string[]): Promise<void> {
    const ran = await this.#run(argv)
    if (ran.code !== 0 && !commands.isUnknownJob(`${ran.stdout.toString()}\n${ran.stderr}`))
      throw failed(argv[0]!, ran)
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

const failed = (program: string, { code, stderr, stdout }: Ran): Error =>
  new Error(wordsOf(stderr) || wordsOf(stdout.toString()) || `${program} ended with ${code ?? 'a signal'}`)
