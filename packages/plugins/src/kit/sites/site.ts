import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeDurable } from '../jobs/durable-file.ts'

/** How the job directories of the plugin come before the nodes, and what is written in them comes back. */
export interface Site {
  /** A directory of the plugin, as the nodes see it. */
  seenAs(dir: string): Promise<string>
  /** Makes what the plugin has written visible to the nodes. */
  stage(dir: string): Promise<void>
  /** The same of a container that joins a job, whose supervisor is to start it. */
  add(dir: string, container: string): Promise<void>
  /** The directory is there for the nodes, be it empty. */
  ensure(dir: string): Promise<void>
  /** Brings state and logs up to date. */
  fetch(dirs: readonly string[]): Promise<void>
  /** Asks the supervisor to end. */
  stop(dir: string, graceSeconds: number): Promise<void>
  /** Puts a private file into a directory, whole or not at all. */
  write(dir: string, name: string, text: string): Promise<void>
  /** A file of a directory, as the nodes have left it. */
  read(dir: string, name: string): Promise<string | undefined>
  /**
   * What the supervisors of these directories have measured last, where they have: the text of `usage`, by directory.
   * They are asked to measure again, for the next call.
   */
  usage(dirs: readonly string[]): Promise<ReadonlyMap<string, string>>
  /** The job has ended: only the plugin's directory is needed any more. */
  release(dir: string): Promise<void>
  close(): void
}

/** The nodes see the plugin's own files. */
export const sharedSite: Site = {
  seenAs: async (dir) => dir,
  stage: async () => {},
  add: async () => {},
  ensure: async () => {},
  fetch: async () => {},
  stop: (dir, graceSeconds) => writeDurable(join(dir, 'stop'), `${graceSeconds}\n`),
  write: (dir, name, text) => writeDurable(join(dir, name), text),
  read: (dir, name) => readFile(join(dir, name), 'utf8').catch(() => undefined),
  async usage(dirs) {
    const found = new Map<string, string>()
    for (const dir of dirs) {
      const text = await readFile(join(dir, 'usage'), 'utf8').catch(() => undefined)
      if (text !== undefined) found.set(dir, text)
      await writeFile(join(dir, 'measure'), '').catch(() => {})
    }
    return found
  },
  release: async () => {},
  close: () => {}
}
