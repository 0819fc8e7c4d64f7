/** A plugin with the process backend in a process and an account of its own, behind the API server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import type { Test } from 'tap'
import { startApi } from '@interlink-ts/interlink-api/server'
import { createWorkbench, type Workbench } from '../../../test/conformance/workbench.ts'

export interface Site extends Workbench {
  /** The directory of the plugin, below which are its job directories. */
  readonly dir: string
  readonly jobs: string
  readonly pid: number
  /** The account of the plugin. */
  readonly uid: number
}

export interface SiteOptions {
  /** The account of the plugin. @default the one of the tests */
  readonly uid?: number
  readonly env?: Readonly<Record<string, string>>
  readonly config?: Readonly<Record<string, unknown>>
  /** What the plugin asks for. */
  readonly tokenFile?: string
  /** Where the plugin's directory is made. */
  readonly parent?: string
}

const program = fileURLToPath(new URL('support-process-program.ts', import.meta.url))
const loader = new URL('../../../scripts/lib/typescript.mjs', import.meta.url).href

export async function startSite(
  t: Test,
  { uid, env, config, tokenFile, parent }: SiteOptions = {}
): Promise<Site> {
  const dir = await mkdtemp(join(parent ?? tmpdir(), 'interlink-process-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  const jobs = join(dir, 'jobs')
  await mkdir(jobs, { mode: 0o700 })
  if (uid !== undefined) for (const path of [dir, jobs]) await chown(path, uid, uid)
  const socket = join(dir, 'plugin.sock')
  const full = {
    root: jobs,
    listen: `unix://${socket}`,
    listSeconds: 0.5,
    retention: { deletedSeconds: 0, tombstoneSeconds: 60 },
    ...(tokenFile && { auth: { tokenFile } }),
    ...config
  }
  const child = spawn(
    process.execPath,
    ['--conditions=interlink-ts-source', `--import=${loader}`, program, JSON.stringify(full)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
      env: { PATH: process.env.PATH, HOME: dir, ...env },
      ...(uid === undefined ? {} : { uid, gid: uid })
    }
  )
  const url = `unix://${join(dir, 'api.sock')}`
  const plugins = [{ name: 'process', url: `unix://${socket}`, ...(tokenFile && { tokenFile }) }]
  const api = await startApi({ listen: url, plugins }, { logger: pino({ level: 'silent' }) })
  const bench = createWorkbench(url, { image: 'host' })
  t.teardown(async () => {
    await bench.cleanUp()
    await api.close()
    const gone = once(child, 'exit')
    if (child.kill('SIGKILL')) await gone
  })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error('the plugin did not start')
    })
  ])
  return { ...bench, dir, jobs, pid: child.pid!, uid: uid ?? process.getuid!() }
}
