import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { startPlugin, type PluginConfigInput } from '@interlink-ts/plugins/kit'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { scriptPod, type ScriptPod } from '../slurm/slurm-plugin.ts'

export interface IncusPlugin {
  readonly root: string
  readonly client: InterlinkClient
  close(): Promise<void>
}

let counter = 0

/** A plugin before a lab, in this process; closed after the test. */
export async function startIncusPlugin(
  t: Test,
  lab: IncusLab,
  dir = join(lab.dir, `plugin-${++counter}`),
  options: object = {},
  more: Partial<PluginConfigInput> = {}
): Promise<IncusPlugin> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const root = join(dir, 'jobs')
  const plugin = await startPlugin({
    module: incusBackend,
    config: {
      listen: `unix://${join(dir, 'plugin.sock')}`,
      root,
      // What is refused in words is refused by the create, however slow this machine is.
      options: { url: `unix://${lab.socket}`, createSeconds: 120, ...options },
      retention: { deletedSeconds: 0, tombstoneSeconds: 60 },
      listSeconds: 0.5,
      lostSeconds: 2,
      ...more
    },
    log: pino({ level: 'silent' })
  })
  const client = createInterlinkClient({ url: plugin.url, verbs: 'plugin' })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= client.close().then(() => plugin.close()))
  t.teardown(close)
  return { root, client, close }
}

/** A pod of one container that runs a script in an instance of the lab's image. */
export const incusPod = (script: string, { container, ...pod }: ScriptPod = {}): RetrievedPodData =>
  scriptPod(script, { ...pod, container: { image: 'busybox', ...container } })

/** The image of a pod is not to be had. */
export const isWithoutImage = ({ containers }: PodStatus) =>
  /^(ErrImagePull|ImagePullBackOff)$/.test(containers[0]?.state?.waiting?.reason ?? '')

/** Why there can be no pool that holds sizes, or undefined. */
export const sizedPoolMissing = (): string | undefined =>
  existsSync('/usr/bin/btrfs') ? undefined : 'btrfs-progs is missing'

/** The profile `sized`, whose root disk is in a pool of that name: 512 MiB, in which volumes are held to their sizes. */
export async function makeSizedPool(lab: IncusLab): Promise<void> {
  await lab.run('storage', 'create', 'sized', 'btrfs', 'size=512MiB')
  await lab.run('profile', 'create', 'sized')
  await lab.run('profile', 'device', 'add', 'sized', 'root', 'disk', 'path=/', 'pool=sized')
}

/** Names of all instances that the lab has. */
export async function instancesOf(lab: IncusLab): Promise<string[]> {
  const list = JSON.parse(await lab.run('list', '--format=json')) as { readonly name: string }[]
  return list.map(({ name }) => name)
}

/** Words of a pod that waits until its test is ready, see {@link letGo}. */
export const waiting = 'until [ -e /go ]; do sleep 0.1; done'

/** Lets the pod of an instance of the lab go on. */
export const letGo = (lab: IncusLab, instance: string): Promise<string> =>
  lab.run('exec', instance, '--', 'touch', '/go')
