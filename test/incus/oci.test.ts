import t from 'tap'
import { join } from 'node:path'
import { mkdir, writeFile } from 'node:fs/promises'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import type { ImageConfig } from '../support/registry.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, isWithoutImage, startIncusPlugin } from './incus-plugin.ts'
import { ociLabMissing, startOciLab } from './oci-lab.ts'

const own: ImageConfig = {
  entrypoint: ['/bin/sh', '-c'],
  cmd: ['echo "$WORDS in $PWD as $(id -u):$(id -g), home $HOME"; echo over >/dev/termination-log; exit 7'],
  env: ['WORDS=it\'s "the image"', 'DIR=its own', 'name=its name', 'PATH=/tools:/bin:/sbin'],
  workingdir: '/work/place',
  user: '1234:4321'
}

void t.test('images of a registry on a real Incus 7.0', async (t) => {
  if (!requireReal(t, ociLabMissing())) return
  const { lab, registry, root, options, close } = await startOciLab()
  t.teardown(close)
  await registry.push('lab/own:1', root, own)
  const empty = join(lab.dir, 'empty')
  await mkdir(join(empty, 'bin'), { recursive: true })
  await writeFile(join(empty, 'bin/tar'), '')
  await registry.push('lab/empty:1', empty, { entrypoint: ['/app'] })
  const { client } = await startIncusPlugin(t, lab, undefined, options)
  const none = async () => (await instancesOf(lab)).length === 0
  const image = `${registry.host}/lab/own:1`

  t.test(
    'a pod without a command runs what the image says, as it says, and ends with its code',
    async (t) => {
      const pod = incusPod('', { container: { image, command: undefined } })
      await client.create(pod)
      const { containers } = await whenStatus(client, pod, isOver)
      t.match(containers[0]!.state!.terminated, { exitCode: 7, reason: 'Error', message: 'over\n' })
      t.equal(await logOf(client, pod), `it's "the image" in /work/place as 1234:4321, home /\n`)
      await eventually(none)
    }
  )

  t.test('what the pod says stands above what the image says', async () => {
    const script =
      'echo "$WORDS, $DIR, $name, $PATH, $INTERLINK_INSTANCE, $(pwd), $(id -u):$(id -G)"; sleep 600'
    const env = [{ name: 'WORDS', value: 'of the pod' }]
    const spec = { securityContext: { runAsUser: 77, runAsGroup: 78, fsGroup: 79 } }
    const pod = incusPod(script, {
      spec,
      container: { image: 'lab:lab/own:1', env, workingDir: '/tmp' }
    })
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    const mark = `main.${pod.pod.metadata.uid}`
    const said = `of the pod, its own, its name, /tools:/bin:/sbin, ${mark}, /tmp, 77:78 79\n`
    await eventually(async () => (await logOf(client, pod)) === said)
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(none)
  })

  t.test('a command that the image does not have is told as a kubelet tells it', async (t) => {
    const pod = incusPod('', { container: { image, command: ['no-such'] } })
    await client.create(pod)
    const { containers } = await whenStatus(client, pod, isOver)
    t.match(containers[0]!.state!.terminated, {
      exitCode: 127,
      reason: 'StartError',
      message: 'exec: "no-such": executable file not found in $PATH'
    })
    await eventually(none)
  })

  t.test('a tag that is not there is waited for, in the words of the registry', async (t) => {
    const pod = incusPod('true', { container: { image: `${registry.host}/lab/own:none` } })
    await client.create(pod)
    const { containers } = await whenStatus(client, pod, isWithoutImage)
    t.match(
      containers[0]!.state!.waiting!.message,
      /lab\/own:none: Error parsing image name .*: reading manifest none in .*: manifest unknown$/
    )
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
  })

  t.test('what cannot be run is refused in words, and no instance is left', async (t) => {
    const refused = (container: Record<string, unknown>, message: RegExp) =>
      t.rejects(client.create(incusPod('true', { container })), { message })
    await refused({ image: 'lab:lab/empty:1' }, /lab:lab\/empty:1 has no sh, mount, unshare, nsenter/)
    await refused(
      { image, command: undefined, args: ['more'] },
      /containers\[0\]\.command: .*give the command too/
    )
    t.ok(await none())
  })
})
