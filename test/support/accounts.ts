import { execFile, execFileSync } from 'node:child_process'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { runAtEnd, temporaryDirectory } from './reaper.ts'

const call = promisify(execFile)

export interface Account {
  readonly name: string
  readonly uid: number
  readonly home: string
}

/** Why there can be no accounts of the tests here, or undefined. */
export function accountsMissing(): string | undefined {
  if (process.getuid!() !== 0) return 'only root can make accounts'
  try {
    execFileSync('sudo', ['-n', 'true'])
    return undefined
  } catch {
    return 'sudo is missing; apt-get install sudo'
  }
}

/**
 * Makes Unix accounts, the first of which may become each of `rights` by a rule of sudoers(5). They and the rule are
 * gone at the latest with this process.
 */
export async function makeAccounts(
  names: readonly string[],
  rights: readonly string[]
): Promise<{ readonly accounts: readonly Account[]; remove(): Promise<void> }> {
  const directory = temporaryDirectory('accounts')
  const rule = `/etc/sudoers.d/${names[0]}`
  const end = join(directory.path, 'end.sh')
  await writeFile(
    end,
    [`rm -f ${rule}`, ...names.map((name) => `userdel -rf ${name} 2>/dev/null`), ''].join('\n')
  )
  runAtEnd(end)
  const accounts: Account[] = []
  for (const name of names) {
    await call('useradd', ['--create-home', '--shell', '/bin/sh', '--password', '*', name])
    const [, , uid, , , home] = (await call('getent', ['passwd', name])).stdout.trim().split(':')
    accounts.push({ name, uid: Number(uid), home: home! })
  }
  await writeFile(rule, `${names[0]} ALL=(${rights.join(',')}) NOPASSWD: ALL\n`, { mode: 0o440 })
  await call('visudo', ['-cf', rule])
  return {
    accounts,
    remove: async () => {
      await call('sh', [end]).catch(() => {})
      await directory.remove()
    }
  }
}

/** The job directory of a pod is in the home of its user, whom alone it is of. */
export async function isUsersAlone(
  t: Test,
  { home, uid }: Account,
  { pod }: RetrievedPodData
): Promise<void> {
  const there = join(home, '.interlink/jobs', `${pod.metadata.namespace}-${pod.metadata.uid}`)
  for (const [path, mode] of [
    ['.', 0o700],
    ['c/main/env', 0o600],
    ['log/main.0', 0o600]
  ] as const) {
    const found = await stat(join(there, path))
    t.same([found.uid, found.mode & 0o777], [uid, mode], `${path} is the user's alone`)
  }
}
