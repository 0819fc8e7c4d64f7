import { readFile } from 'node:fs/promises'
import { followFiles, type FollowFilesOptions } from '../config/follow-files.ts'
import { ConfigError, whyUnreadable } from '../config/yaml.ts'
import type { InterlinkClient } from './client.ts'
import type { TlsMaterial } from './transport.ts'

/** Paths of PEM files (the CA may be DER). */
export interface TlsFiles {
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  /** Accepts any certificate of the server. */
  readonly insecure?: boolean
}

/** @throws ConfigError naming `<field>.caFile` and the like. */
export async function readTlsFiles(files: TlsFiles, field: string): Promise<TlsMaterial> {
  const read = async (key: 'caFile' | 'certFile' | 'keyFile') => {
    const path = files[key]
    if (path === undefined) return undefined
    return readFile(path).catch((error: NodeJS.ErrnoException) => {
      const at = `${field}.${key}`
      throw new ConfigError(`${at}: ${path} cannot be read: ${whyUnreadable(error)}`, { field: at }, error)
    })
  }
  const [ca, cert, key] = await Promise.all([read('caFile'), read('certFile'), read('keyFile')])
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(files.insecure && { insecure: true })
  }
}

/**
 * Hands the client what its files hold, now and whenever they change.
 * @returns ends it
 */
export async function followTlsFiles(
  client: Pick<InterlinkClient, 'setTls'>,
  files: TlsFiles,
  field: string,
  options: FollowFilesOptions
): Promise<() => void> {
  const take = async () => client.setTls(await readTlsFiles(files, field))
  const paths = [files.caFile, files.certFile, files.keyFile].filter((path) => path !== undefined)
  const stop = await followFiles(paths, take, options)
  try {
    await take()
    return stop
  } catch (error) {
    stop()
    throw error
  }
}
