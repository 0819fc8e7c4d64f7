import { readFile } from 'node:fs/promises'
import {
  ClientConfiguration,
  findInstance,
  labDirectory,
  loadLabOptions,
  parseScope,
  Remotes,
  withFlags,
  type Away,
  type Kind,
  type LabOptions,
  type Scope,
  type ScopeFlags
} from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import { table } from './table.ts'

export interface LabFlags extends ScopeFlags {
  readonly json?: boolean
  readonly labDir?: string
  /** Seconds for one answer. */
  readonly wait?: number
}

/** One run of a verb: the remotes that it asks, and what it prints. */
export class Lab {
  readonly options: LabOptions
  readonly remotes: Remotes
  readonly flags: LabFlags

  private constructor(options: LabOptions, remotes: Remotes, flags: LabFlags) {
    this.options = options
    this.remotes = remotes
    this.flags = flags
  }

  static async open(flags: LabFlags): Promise<Lab> {
    const options = await loadLabOptions(flags.labDir ?? labDirectory())
    const configuration = await ClientConfiguration.load()
    return new Lab(options, new Remotes(configuration, { timeoutMs: (flags.wait ?? 30) * 1000 }), flags)
  }

  /** What was said of an instance, a profile or a project, with the flags. */
  scope(text: string | undefined, how: { readonly kind?: Kind; readonly wild?: boolean } = {}): Scope {
    return this.flagged(text === undefined ? {} : parseScope(text, how))
  }

  flagged(scope: Scope): Scope {
    return withFlags(scope, this.flags, (user) => this.options.userProjects + user)
  }

  instance(text: string): ReturnType<typeof findInstance> {
    return findInstance(this.remotes, this.scope(text))
  }

  /** The answer: a value for programs, or lines for people. */
  print(value: unknown, lines: () => string): void {
    process.stdout.write(this.flags.json ? `${JSON.stringify(value, null, 2)}\n` : lines())
  }

  printTable<T>(
    values: readonly T[],
    columns: Readonly<Record<string, (value: T) => string | number>>
  ): void {
    this.print(values, () =>
      table(
        Object.keys(columns),
        values.map((value) => Object.values(columns).map((cell) => String(cell(value))))
      )
    )
  }

  /** A list lacks what these have: the rest is printed, and the command fails. */
  away(away: readonly Away[]): void {
    for (const { reason } of away) process.stderr.write(`interlink: ${reason}\n`)
    if (away.length > 0) process.exitCode = 1
  }

  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }
}

type Act<A extends unknown[], F> = (lab: Lab, flags: F, ...args: A) => Promise<void>

/** Runs a verb and ends its connections, whatever comes of it. */
export async function withLab<A extends unknown[], F extends LabFlags>(
  flags: F,
  act: Act<A, F>,
  ...args: A
): Promise<void> {
  const lab = await Lab.open(flags)
  try {
    await act(lab, flags, ...args)
  } finally {
    await lab.remotes.close()
  }
}

/** A secret is read from a file, or from standard input: an argument could be seen by everybody. */
export async function readSecret(file: string | undefined, what: string): Promise<string | undefined> {
  if (file !== undefined && file !== '-') return readOwn(file)
  if (file === undefined && process.stdin.isTTY) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  if (text.trim() === '' && file === '-') throw new UsageError(`standard input holds no ${what}`)
  return text.trim() === '' ? undefined : text
}

export const readOwn = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`)
  })

export function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
