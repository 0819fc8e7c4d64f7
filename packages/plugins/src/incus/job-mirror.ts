import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { PluginError } from '../errors.ts'
import type { BackendContext } from '../kit/backend.ts'
import { appendMirrored, mirroredBytes, replaceMirrored } from '../kit/jobs/mirrored-files.ts'
import { keepSent, logsHad } from '../kit/sites/sent-files.ts'
import { jobPath, taken, takeJob } from './first-program.ts'
import { exec, type ExecSession } from './rest/exec.ts'
import { InstanceFiles } from './rest/instance-files.ts'
import type { IncusConnection } from './rest/incus-connection.ts'

const retryMs = 1000
/** The shell is that of an image, which may be anything. */
const takeMs = 120_000
const send = 'exec /bin/sh "$0/send.sh" "$0" "$@"'
const plainName = /^(?!\.)[\w.-]{1,255}$/

const word = Buffer.from(`${taken}\n`)

interface Bringing {
  readonly job: Buffer
  readonly onTaken: () => void
}

export interface MirrorSteps {
  /** Awaited before the end of a pod is kept whose instance still runs. */
  beforeEnd(place: { readonly jobId: string; readonly dir: string }): Promise<void>
  /** Everything that a pod has said is here. */
  onEnd(instance: string): void
}

interface Followed {
  session?: ExecSession
  /** Everything was had. */
  ended: boolean
  closed: boolean
}

/**
 * Brings what supervisors write in their instances into the job directories: while they run by one program in each that
 * tells of every change, of stopped ones by their files.
 */
export class JobMirror {
  readonly #incus: IncusConnection
  readonly #log: BackendContext['log']
  readonly #steps: MirrorSteps
  readonly #followed = new Map<string, Followed>()

  constructor(incus: IncusConnection, log: BackendContext['log'], steps: MirrorSteps) {
    this.#incus = incus
    this.#log = log
    this.#steps = steps
  }

  /**
   * Brings a job, packed, into its running instance, whose first program waits for it, and follows what it writes.
   * Resolves when the job is there.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` where the instance cannot take it
   */
  async begin(instance: string, dir: string, job: Buffer): Promise<void> {
    this.forget(instance)
    const followed = this.#add(instance)
    let listening: Promise<void> | undefined
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(notTaken(`no answer within ${takeMs / 1000} seconds`)), takeMs)
        listening = this.#listen(instance, dir, followed, { job, onTaken: resolve })
        listening.then(() => reject(new Error('closed')), reject)
      })
    } catch (error) {
      this.forget(instance)
      throw error
    } finally {
      clearTimeout(timer)
    }
    void this.#follow(instance, dir, followed, listening)
  }

  /** Of a running instance that has its job, until its pod has ended or it is forgotten. */
  follow(instance: string, dir: string): void {
    if (!this.#followed.has(instance)) void this.#follow(instance, dir, this.#add(instance))
  }

  forget(instance: string): void {
    const followed = this.#followed.get(instance)
    if (!followed) return
    followed.closed = true
    followed.session?.close()
    this.#followed.delete(instance)
  }

  close(): void {
    for (const instance of [...this.#followed.keys()]) this.forget(instance)
  }

  /** What a stopped instance has left that was not had. */
  async collect(instance: string, dir: string): Promise<void> {
    if (this.#followed.get(instance)?.ended) return
    this.forget(instance)
    const files = new InstanceFiles(this.#incus, instance)
    for (const kind of ['log', 'state'] as const) {
      await mkdir(join(dir, kind), { recursive: true, mode: 0o700 })
      const names = ((await files.list(`${jobPath}/${kind}`)) ?? []).filter((name) => plainName.test(name))
      // The end of the pod comes after all else.
      for (const name of names.filter((name) => !name.endsWith('.tmp')).sort(podLast)) {
        const bytes = await files.read(`${jobPath}/${kind}/${name}`)
        if (bytes === undefined) continue
        const path = join(dir, kind, name)
        if (kind === 'state') await replaceMirrored(path, bytes)
        else {
          const had = await mirroredBytes(path)
          await appendMirrored(path, had, bytes.subarray(had))
        }
      }
    }
  }

  #add(instance: string): Followed {
    const followed: Followed = { ended: false, closed: false }
    this.#followed.set(instance, followed)
    return followed
  }

  async #follow(
    instance: string,
    dir: string,
    followed: Followed,
    listening = this.#listen(instance, dir, followed)
  ): Promise<void> {
    for (;;) {
      try {
        await listening
      } catch (err) {
        if (!followed.closed)
          this.#log.debug({ instance, err }, 'what a pod writes cannot be followed; tried again')
      }
      if (followed.ended || followed.closed) break
      await delay(retryMs, undefined, { ref: false })
      listening = this.#listen(instance, dir, followed)
    }
    if (followed.ended) this.#steps.onEnd(instance)
  }

  async #listen(instance: string, dir: string, followed: Followed, bringing?: Bringing): Promise<void> {
    if (followed.closed) return
    const session = await exec(this.#incus, instance, {
      command: ['/bin/sh', '-c', bringing ? takeJob + send : send, jobPath, ...(await logsHad(dir))]
    })
    followed.session = session
    session.exited.catch(() => {})
    session.stdin.end(bringing?.job)
    const chunks = session.stdout as AsyncIterable<Buffer>
    if (!bringing) session.stderr.resume()
    if (followed.closed) return session.close()
    try {
      const sent = bringing ? onceTaken(session, bringing.onTaken) : chunks
      const beforeEnd = () => this.#steps.beforeEnd({ jobId: instance, dir })
      if (await keepSent(sent, dir, beforeEnd)) followed.ended = true
    } finally {
      session.close()
    }
    await session.exited
  }
}

/** What an instance prints after it has taken its job. */
async function* onceTaken(
  { stdout, stderr, exited }: ExecSession,
  onTaken: () => void
): AsyncGenerator<Buffer> {
  const said: Buffer[] = []
  stderr.on('data', (chunk: Buffer) => {
    if (said.length < 10) said.push(chunk)
  })
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    if (!head) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < word.length) continue
    if (!head.subarray(0, word.length).equals(word)) break
    onTaken()
    yield head.subarray(word.length)
    head = undefined
  }
  if (!head) return
  const code = await exited
  throw notTaken(Buffer.concat(said).toString().trim() || `exit status ${code}`)
}

const notTaken = (why: string): PluginError =>
  new PluginError('PLUGIN_BACKEND_REFUSED', {
    backend: 'Incus',
    reason: `the instance does not take its job: ${why}`
  })

const podLast = (a: string, b: string): number => Number(a === 'pod') - Number(b === 'pod')
