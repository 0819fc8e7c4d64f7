import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { ConfigError, whyUnreadable } from '../config/yaml.ts'

export interface TokenFile {
  /** Whether this is one of the file's tokens, in a time that does not depend on them. */
  accepts(token: string): Promise<boolean>
}

interface Loaded {
  readonly version: string
  readonly hashes: readonly Buffer[]
}

/**
 * Bearer tokens, one a line, `#` starts a comment; several let one be rotated. The file is read again when it changes.
 * @throws ConfigError when it cannot be read or has none.
 */
export async function createTokenFile(path: string): Promise<TokenFile> {
  let loaded = await load(path)
  return {
    async accepts(token) {
      const version = await versionOf(path).catch(() => loaded.version)
      if (version !== loaded.version) loaded = await load(path).catch(() => loaded)
      const hash = hashOf(token)
      return loaded.hashes.reduce((found, expected) => timingSafeEqual(expected, hash) || found, false)
    }
  }
}

async function load(path: string): Promise<Loaded> {
  const version = await versionOf(path).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(
      `auth.tokenFile: ${path} cannot be read: ${whyUnreadable(error)}`,
      { field: 'auth.tokenFile' },
      error
    )
  })
  const tokens = (await readFile(path, 'utf8'))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  if (tokens.length === 0)
    throw new ConfigError(`auth.tokenFile: ${path} has no token; expected one a line`, {
      field: 'auth.tokenFile'
    })
  return { version, hashes: tokens.map(hashOf) }
}

async function versionOf(path: string): Promise<string> {
  const { mtimeNs, size, ino } = await stat(path, { bigint: true })
  return `${mtimeNs}-${size}-${ino}`
}

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest()
