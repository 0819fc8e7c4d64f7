import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { again } from './again.ts'
import { IncusError, IncusUnreachable } from './answers.ts'
import type { Content, IncusConnection, Request } from './incus-connection.ts'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const root: Owner = { uid: 0, gid: 0 }

/** Incus has a helper for the files of each instance, `forkfile`; one that ends between two requests fails the second. */
const helperPausesMs = [50, 200, 1000] as const

const Names = Type.Array(Type.String())

export type Pushed =
  | { readonly type: 'file'; readonly mode: number; readonly content: Buffer | string }
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'symlink'; readonly target: string }

/** The files of an instance, which may be stopped: `/1.0/instances/<name>/files`. */
export class InstanceFiles {
  readonly #incus: IncusConnection
  readonly #path: string

  constructor(incus: IncusConnection, instance: string) {
    this.#incus = incus
    this.#path = `/1.0/instances/${encodeURIComponent(instance)}/files`
  }

  /** Owners are those of the instance, root being the default. A directory that is there is left as it is. */
  async push(path: string, entry: Pushed, { uid, gid } = root): Promise<void> {
    const headers = {
      'x-incus-type': entry.type,
      'x-incus-uid': String(uid),
      'x-incus-gid': String(gid),
      ...('mode' in entry ? { 'x-incus-mode': entry.mode.toString(8).padStart(4, '0') } : {})
    }
    const content = entry.type === 'file' ? entry.content : entry.type === 'symlink' ? entry.target : ''
    await this.#content('POST', { query: { path }, headers, content })
  }

  /** A regular file's bytes, or undefined where there is none. Of a link Incus would give the path that it names. */
  async read(path: string): Promise<Buffer | undefined> {
    const found = await this.#get(path)
    return found?.headers['x-incus-type'] === 'file' ? found.body : undefined
  }

  /** What is in a directory, or undefined where there is none. */
  async list(path: string): Promise<string[] | undefined> {
    const found = await this.#get(path)
    if (found?.headers['x-incus-type'] !== 'directory') return undefined
    const answer = JSON.parse(found.body.toString()) as { metadata: unknown }
    const names: Static<typeof Names> | null = answer.metadata as Static<typeof Names> | null
    if (names === null) return []
    if (!Value.Check(Names, names)) throw new IncusUnreachable(`${path} is listed in a way that is not known`)
    return names
  }

  async #get(path: string) {
    try {
      return await this.#content('GET', { query: { path } })
    } catch (error) {
      if (error instanceof IncusError && error.isMissing) return undefined
      throw error
    }
  }

  /** Both reading and pushing may be done again. */
  #content(method: 'GET' | 'POST', request: Request): Promise<Content> {
    return again(
      helperPausesMs,
      () => this.#incus.content(method, this.#path, request),
      ({ message }) => /forkfile/.test(message)
    )
  }
}
