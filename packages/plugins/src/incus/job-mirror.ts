import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendContext } from '../kit/backend.ts'
import { appendMirrored, mirroredBytes, replaceMirrored } from '../kit/jobs/mirrored-files.ts'
import { keepSent, logsHad } from '../kit/sites/sent-files.ts'
import { exec, type ExecSession } from './rest/exec.ts'
import { InstanceFiles } from './rest/instance-files.ts'
import type { IncusConnection } from './rest/incus-connection.ts'

/** Where a job lies in its instance. */
export const jobPath = '/.interlink'
const retryMs = 1000
/** The instance runs a moment before its first process has unpacked the job. */
const sendOnceUnpacked =
  'while [ -e "$0/job.tar" ]; do sleep 0.05 2>/dev/null || sleep 1; done; exec /bin/sh "$0/send.sh" "$0" "$@"'
const plainName = /^(?!\.)[\w.-]{1,255}$/

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
  readonly #onEnd: (instance: string) => void
  readonly #followed = new Map<string, Followed>()

  constructor(incus: IncusConnection, log: BackendContext['log'], onEnd: (instance: string) => void) {
    this.#incus = incus
    this.#log = log
    this.#onEnd = onEnd
  }

  /** Of a running instance, until its pod has ended or it is forgotten. */
  follow(instance: string, dir: string): void {
    if (this.#followed.has(instance)) return
    const followed: Followed = { ended: false, closed: false }
    this.#followed.set(instance, followed)
    void this.#follow(instance, dir, followed)
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

  async #follow(instance: string, dir: string, followed: Followed): Promise<void> {
    while (!followed.closed && !followed.ended) {
      try {
        await this.#listen(instance, dir, followed)
      } catch (err) {
        if (!followed.closed)
          this.#log.debug({ instance, err }, 'what a pod writes cannot be followed; tried again')
      }
      if (!followed.ended && !followed.closed) await delay(retryMs, undefined, { ref: false })
    }
    if (followed.ended) this.#onEnd(instance)
  }

  async #listen(instance: string, dir: string, followed: Followed): Promise<void> {
    const session = await exec(this.#incus, instance, {
      command: ['/bin/sh', '-c', sendOnceUnpacked, jobPath, ...(await logsHad(dir))]
    })
    followed.session = session
    session.exited.catch(() => {})
    session.stdin.end()
    session.stderr.resume()
    if (followed.closed) return session.close()
    try {
      if (await keepSent(session.stdout as AsyncIterable<Buffer>, dir)) followed.ended = true
    } finally {
      session.close()
    }
    await session.exited
  }
}

const podLast = (a: string, b: string): number => Number(a === 'pod') - Number(b === 'pod')
