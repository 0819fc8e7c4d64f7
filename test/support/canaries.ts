/** Secrets that are planted in a pod, and looked for wherever others could read them. */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** A new secret: no other text holds it by chance, and it tells where it was planted. */
export const canary = (where: string): string => `canary-${where}-${randomBytes(8).toString('hex')}`

export interface ProcessListWatch {
  /** Command lines that held one of the secrets, each once. */
  stop(): readonly string[]
}

/** Looks at the command line of every process of every user, again and again. */
export function watchProcessList(secrets: readonly string[]): ProcessListWatch {
  const found = new Set<string>()
  const look = () => {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d/.test(pid)) continue
      const line = commandLine(pid)
      if (secrets.some((secret) => line.includes(secret))) found.add(line.replaceAll('\0', ' '))
    }
  }
  const timer = setInterval(look, 10)
  return {
    stop: () => {
      clearInterval(timer)
      look()
      return [...found]
    }
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // It has ended meanwhile.
    return ''
  }
}

export interface Holder {
  readonly path: string
  readonly secret: string
  /** Whether another user could read it, by its mode and those of all directories above it from the root on. */
  readonly open: boolean
}

/** Every file below a directory that holds one of the secrets, plain or in base64. */
export async function holdersBelow(root: string, secrets: readonly string[]): Promise<Holder[]> {
  const holders: Holder[] = []
  const forms = secrets.flatMap((secret) => [
    [secret, secret] as const,
    [
      secret,
      Buffer.from(secret)
        .toString('base64')
        .replace(/.{0,3}=*$/, '')
    ] as const
  ])
  const walk = async (dir: string, reachable: boolean): Promise<void> => {
    for (const name of await readdir(dir).catch(() => [])) {
      const path = join(dir, name)
      const found = await lstat(path).catch(() => undefined)
      if (found?.isDirectory()) await walk(path, reachable && (found.mode & 0o001) !== 0)
      else if (found?.isFile()) {
        const text = await contentOf(path)
        const match = forms.find(([, form]) => text.includes(form))
        if (match) holders.push({ path, secret: match[0], open: reachable && (found.mode & 0o004) !== 0 })
      }
    }
  }
  await walk(root, true)
  return holders
}

/** Empty where the file has gone meanwhile. */
async function contentOf(path: string): Promise<Buffer> {
  const file = await open(path).catch(() => undefined)
  try {
    return (await file?.readFile()) ?? Buffer.alloc(0)
  } finally {
    await file?.close()
  }
}
