import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { signalGroup, spawnReaped } from '../support/reaper.ts'

const interlink = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))

export interface BackendProcess {
  readonly url: string
  readonly pid: number
  /** Of the job directories. */
  readonly root: string
  readonly client: InterlinkClient
  stop(): Promise<void>
}

/** `interlink plugin slurm` before a lab, with no setting but the places of its files and how many sbatch at once. */
export const startSlurmPluginProcess = (
  lab: SlurmLab,
  submissions: number,
  options: object = {}
): Promise<BackendProcess> =>
  startBackendProcess('slurm', lab.dir, { conf: lab.env.SLURM_CONF, submissions, ...options }, lab.env.PATH)

/** `interlink plugin` with a directory of its own below that one. */
export async function startBackendProcess(
  backend: string,
  parent: string,
  options: object = {},
  path = process.env.PATH
): Promise<BackendProcess> {
  const dir = join(parent, 'plugin')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const url = `unix://${join(dir, 'plugin.sock')}`
  const root = join(dir, 'jobs')
  const config = join(dir, 'plugin.yaml')
  await writeFile(config, stringify({ listen: url, root, options }), { mode: 0o600 })
  const child = spawnReaped(interlink, ['plugin', backend, '--config', config, '--log-level', 'error'], {
    env: { PATH: path, HOME: dir, NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'inherit']
  })
  const client = createInterlinkClient({ url, verbs: 'plugin', timeoutMs: 300_000 })
  await eventually(async () => (await client.ping()).ok, { deadlineMs: 60_000, everyMs: 50 })
  return {
    url,
    pid: child.pid!,
    root,
    client,
    stop: async () => {
      await client.close()
      signalGroup(child, 'SIGKILL')
    }
  }
}
