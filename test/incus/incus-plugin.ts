import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import type { PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import type { PluginConfigInput } from '@interlink-ts/plugins/kit'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { scriptPod, type ScriptPod } from '../slurm/slurm-plugin.ts'
import { startInterlink } from '../support/interlink.ts'
import { pluginConfig, pluginsOf, type TestPlugin } from '../support/plugin.ts'

/** What is refused in words is refused by the create, however slow this machine is. */
const seenBy = (lab: IncusLab) => ({ url: `unix://${lab.socket}`, createSeconds: 120 })

const start = pluginsOf(incusBackend)

/** A plugin before a lab, in this process; closed after the test. */
export const startIncusPlugin = (
  t: Test,
  lab: IncusLab,
  dir?: string,
  options?: object,
  more?: Partial<PluginConfigInput>
): Promise<TestPlugin> => start(t, { dir: lab.dir, options: seenBy(lab) }, dir, options, more)

/** One in a process of its own, as a site has it, which can be killed. */
export async function startIncusProcess(
  t: Test,
  lab: IncusLab,
  dir: string,
  options: object = {},
  more: Partial<PluginConfigInput> = {}
) {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const config = { ...pluginConfig({ options: seenBy(lab) }, dir, options), ...more }
  await writeFile(join(dir, 'plugin.yaml'), JSON.stringify(config))
  const plugin = startInterlink(['plugin', 'incus', '--config', join(dir, 'plugin.yaml')])
  t.teardown(() => plugin.stop())
  await plugin.printed(/plugin started/)
  const client = createInterlinkClient({ url: config.listen!, verbs: 'plugin' })
  t.teardown(() => client.close())
  const kill = async () => {
    plugin.kill('SIGKILL')
    await plugin.ended
  }
  return { client, kill }
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
