import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectories } from '@interlink-ts/interlink-api/config'
import type { KeyPair } from './key-request.ts'

/** A request that was sent and has not been answered. */
export interface PendingRequest {
  /** Name of the CertificateSigningRequest. */
  readonly name: string
  readonly key: string
}

/** Serving keys over restarts, readable by this user alone. Without a directory nothing is kept. */
export interface CertificateFiles {
  current(): Promise<KeyPair | undefined>
  pending(): Promise<PendingRequest | undefined>
  save(pair: KeyPair): Promise<void>
  savePending(request: PendingRequest | undefined): Promise<void>
}

export function certificateFiles(directory: string | undefined, nodeName: string): CertificateFiles {
  if (!directory) {
    const nothing = async () => undefined
    return { current: nothing, pending: nothing, save: nothing, savePending: nothing }
  }
  const current = join(directory, `kubelet-${nodeName}.json`)
  const pending = join(directory, `kubelet-${nodeName}.pending.json`)
  return {
    current: () => read<KeyPair>(current),
    pending: () => read<PendingRequest>(pending),
    save: (pair) => write(directory, current, pair),
    savePending: (request) => (request ? write(directory, pending, request) : rm(pending, { force: true }))
  }
}

async function read<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T
  } catch {
    return undefined
  }
}

async function write(directory: string, file: string, value: unknown): Promise<void> {
  await makeDirectories(directory, 0o700)
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, JSON.stringify(value), { mode: 0o600 })
  await rename(draft, file)
}
