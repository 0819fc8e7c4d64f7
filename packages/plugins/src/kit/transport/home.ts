import { homedir } from 'node:os'
import { join } from 'node:path'

/** `~/x` is x in the home of this account, as a shell has it. */
export const fromHome = (path: string): string =>
  path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
