import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { Compile } from 'typebox/compile'
import { PluginError } from '../../errors.ts'
import { flushDirectory, writeDurable } from '../jobs/durable-file.ts'
import { LeaseRecord } from './lease.ts'

/** Where the journal lies. Each call has come to rest on the medium when it resolves. */
export interface JournalStore {
  read(): Promise<Buffer>
  append(text: string): Promise<void>
  truncate(length: number): Promise<void>
  /** All or nothing: false where everything is as before; it rejects where nobody can tell. */
  replace(text: string): Promise<boolean>
  close(): Promise<void>
}

const isRecord = Compile(LeaseRecord)

/**
 * An append-only file of {@link LeaseRecord}s, one a line behind its CRC-32. A line that was being written when the
 * machine went down is cut off: nobody was told of it. Any other damage is an error, as a lost lease would give a
 * device to two.
 */
export class LeaseJournal {
  readonly #store: JournalStore
  readonly #path: string
  #length: number
  #count: number
  #broken: unknown

  private constructor(store: JournalStore, path: string, length: number, count: number) {
    this.#store = store
    this.#path = path
    this.#length = length
    this.#count = count
  }

  /** @throws PluginError `PLUGIN_DEVICES_JOURNAL` */
  static async open(
    path: string,
    store?: JournalStore
  ): Promise<{ readonly journal: LeaseJournal; readonly records: readonly LeaseRecord[] }> {
    const opened = store ?? (await openJournalFile(path))
    try {
      const bytes = await opened.read()
      const { records, length } = parse(bytes, path)
      if (length < bytes.length) await opened.truncate(length)
      return { journal: new LeaseJournal(opened, path, length, records.length), records }
    } catch (error) {
      await opened.close()
      throw error
    }
  }

  /** How many records it has grown to. */
  get records(): number {
    return this.#count
  }

  /**
   * Resolves when all of them are durable; when it rejects, none of them is.
   * @throws PluginError `PLUGIN_DEVICES_JOURNAL`
   */
  async append(records: readonly LeaseRecord[]): Promise<void> {
    this.#check()
    const text = write(records)
    try {
      await this.#store.append(text)
    } catch (error) {
      // Half of it may be there: it must not come back as the beginning of the next line.
      await this.#store.truncate(this.#length).catch(() => (this.#broken = error))
      throw this.#failed(error)
    }
    this.#length += Buffer.byteLength(text)
    this.#count += records.length
  }

  /** Starts anew with these. Where that cannot be written, the journal stays as it is. */
  async compact(records: readonly LeaseRecord[]): Promise<void> {
    this.#check()
    const text = write(records)
    try {
      if (!(await this.#store.replace(text))) return
      this.#length = Buffer.byteLength(text)
      this.#count = records.length
    } catch (error) {
      this.#broken = error
    }
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #check(): void {
    if (this.#broken) throw this.#failed(this.#broken)
  }

  #failed(error: unknown): PluginError {
    const reason = `${(error as Error).message}; no device is given until it can be written`
    return new PluginError('PLUGIN_DEVICES_JOURNAL', { path: this.#path, reason }, error)
  }
}

/** One line for all of them, so that they are there together or not at all. */
function write(records: readonly LeaseRecord[]): string {
  if (records.length === 0) return ''
  const json = JSON.stringify(records)
  return `${checksum(json)} ${json}\n`
}

function parse(bytes: Buffer, path: string): { records: LeaseRecord[]; length: number } {
  const records: LeaseRecord[] = []
  let length = 0
  for (let line = 1; length < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, length)
    const found = end < 0 ? undefined : read(bytes.toString('utf8', length, end))
    if (!found) {
      if (end >= 0 && end + 1 < bytes.length)
        throw new PluginError('PLUGIN_DEVICES_JOURNAL', {
          path,
          reason: `line ${line} is damaged; stop what holds devices, and move the file away`
        })
      break
    }
    records.push(...found)
    length = end + 1
  }
  return { records, length }
}

function read(line: string): LeaseRecord[] | undefined {
  const json = line.slice(9)
  if (line.slice(0, 9) !== `${checksum(json)} `) return undefined
  const records: unknown = JSON.parse(json)
  return Array.isArray(records) && records.every((record) => isRecord.Check(record)) ? records : undefined
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0')

/** Mode 0600; made where it is missing. */
export async function openJournalFile(path: string): Promise<JournalStore> {
  let handle: FileHandle = await open(path, 'a', 0o600)
  await flushDirectory(dirname(path))
  return {
    read: () => readFile(path),
    async append(text) {
      await handle.appendFile(text)
      await handle.datasync()
    },
    async truncate(length) {
      await handle.truncate(length)
      await handle.sync()
    },
    async replace(text) {
      try {
        await writeDurable(path, text)
      } catch (error) {
        const [mine, there] = await Promise.all([handle.stat(), stat(path)])
        if (mine.ino === there.ino) return false
        throw error
      }
      const next = await open(path, 'a', 0o600)
      await handle.close()
      handle = next
      return true
    },
    close: () => handle.close()
  }
}
