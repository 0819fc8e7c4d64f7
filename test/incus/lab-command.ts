import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { startIncusLab, type IncusLab, type IncusLabOptions } from '@interlink-ts/dev-cluster/incus'
import { runInterlink } from '../support/interlink.ts'

export interface TwoRemotes {
  /** The remote `local`. */
  readonly one: IncusLab
  /** The remote `site2`, once it is enrolled. */
  readonly two: IncusLab
  /** Of the command's own files: configuration of incus, `lab.yaml`, users. */
  readonly dir: string
  readonly env: NodeJS.ProcessEnv
  /** Runs `interlink lab ARGS…` to its end, as a user does. */
  lab(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }>
  labWith(input: string, ...args: string[]): ReturnType<TwoRemotes['lab']>
  /** What it prints with `--json`; that it succeeds is taken for granted. */
  json<T>(...args: string[]): Promise<T>
}

/** Two daemons and one account, which knows the second one not yet. */
export async function startTwoRemotes(
  t: Test,
  start: () => Promise<IncusLab> = () => startClosed(t)
): Promise<TwoRemotes> {
  const one = await start()
  const two = await startClosed(t)
  const dir = join(one.dir, 'account')
  await mkdir(dir, { mode: 0o700 })
  const env = {
    ...process.env,
    HOME: dir,
    INCUS_CONF: join(dir, 'incus'),
    INCUS_DIR: dirname(one.socket),
    INTERLINK_LAB: join(dir, 'lab')
  }
  const labWith = (input: string | undefined, ...args: string[]) =>
    runInterlink(['lab', ...args], { env, cwd: dir, ...(input === undefined ? {} : { input }) })
  const lab = (...args: string[]) => labWith(undefined, ...args)
  return {
    one,
    two,
    dir,
    env,
    lab,
    labWith,
    async json<T>(...args: string[]) {
      const { code, stdout, stderr } = await lab(...args, '--json')
      if (code !== 0) throw new Error(`interlink lab ${args.join(' ')}: ${stderr}`)
      return JSON.parse(stdout) as T
    }
  }
}

/** A lab that is closed after the test. */
export async function startClosed(t: Test, options: IncusLabOptions = {}): Promise<IncusLab> {
  const lab = await startIncusLab(options)
  t.teardown(() => lab.close())
  return lab
}

/** Has `site2` be a remote of the account. */
export async function enrollSecond({ labWith, two }: TwoRemotes): Promise<void> {
  const { code, stderr } = await labWith(await two.token('main'), 'remote', 'enroll', 'site2')
  if (code !== 0) throw new Error(stderr)
}

/** Checks that commands fail, each with what it says; two at a time. */
export const refusalsOf =
  ({ lab }: TwoRemotes) =>
  async (
    t: Test,
    group: string,
    wrong: readonly (readonly [args: readonly string[], expected: RegExp])[]
  ): Promise<void> => {
    const left = [...wrong]
    const check = async (): Promise<void> => {
      const next = left.shift()
      if (!next) return
      const { code, stderr } = await lab(group, ...next[0])
      t.match({ code, stderr }, { code: 1, stderr: next[1] }, next[0].join(' '))
      await check()
    }
    await Promise.all([check(), check()])
  }
