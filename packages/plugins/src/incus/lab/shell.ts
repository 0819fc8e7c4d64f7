import { setTimeout as sleep } from 'node:timers/promises'
import { PluginError } from '../../errors.ts'
import { exec, type ExecSession } from '../rest/index.ts'
import { isRunning } from './instance-record.ts'
import { nameOfFound, type Found } from './instances.ts'

export interface ShellOptions {
  /** @default the account's shell: bash, else sh */
  readonly command?: readonly string[]
  /** Columns and rows; absent: pipes. */
  readonly terminal?: { readonly width: number; readonly height: number }
  /** How often it is tried; the agent of a virtual machine comes long after its start. @default 3 */
  readonly attempts?: number
  /** Between two attempts. @default 10 */
  readonly pauseSeconds?: number
}

const shell = ['sh', '-c', 'command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l']

/** A program in a running instance. @throws PluginError */
export async function openShell(
  found: Found,
  { command = shell, terminal, attempts = 3, pauseSeconds = 10 }: ShellOptions = {}
): Promise<ExecSession> {
  const { server, record } = found
  if (!isRunning(record))
    throw new PluginError('LAB_STATE', {
      name: nameOfFound(found),
      state: 'is stopped',
      fix: 'start it first, or give --force'
    })
  const environment = { HOME: '/root', TERM: process.env.TERM ?? 'dumb' }
  for (let attempt = 1; ; attempt++)
    try {
      return await server.told(
        exec(server.incus, record.name, {
          command,
          environment,
          cwd: '/root',
          ...(terminal ? { terminal } : {})
        })
      )
    } catch (error) {
      if (attempt >= attempts || !/agent/i.test((error as Error).message)) throw error
      await sleep(pauseSeconds * 1000)
    }
}
