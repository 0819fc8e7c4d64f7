import t from 'tap'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, isWithoutImage, letGo, startIncusPlugin, waiting } from './incus-plugin.ts'

const counting = `${waiting}; i=0; while [ $i -lt 40 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done; exit 3`
const lines = Array.from({ length: 40 }, (_, index) => `line ${index}\n`).join('')

void t.test('pods as instances of a real Incus', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const none = async () => (await instancesOf(lab)).length === 0
  const go = (name: string) => letGo(lab, name)

  t.test('a plugin that is killed and comes again loses nothing, and leaves no instance', async (t) => {
    const first = await startIncusPlugin(t, lab)
    const pod = incusPod(counting)
    const { PodJID } = await first.client.create(pod)
    await whenStatus(first.client, pod, isRunning)
    await go(PodJID)
    await first.close()
    const second = await startIncusPlugin(t, lab, join(first.root, '..'))
    const { containers } = await whenStatus(second.client, pod, isOver)
    t.match(containers[0]!.state!.terminated, { exitCode: 3, reason: 'Error' })
    t.equal(await logOf(second.client, pod), lines)
    await eventually(none)
  })

  t.test('an instance that runs and never got its job, as its plugin was killed, is made anew', async (t) => {
    const first = await startIncusPlugin(t, lab)
    const pod = incusPod('echo here; sleep 600', { spec: { terminationGracePeriodSeconds: 0 } })
    const { PodJID } = await first.client.create(pod)
    await whenStatus(first.client, pod, isRunning)
    await first.close()
    // What is there at that moment: the intent, and an instance without a job.
    const dir = join(
      first.root,
      (await readdir(first.root)).find((name) => name.endsWith(pod.pod.metadata.uid!))!
    )
    for (const name of ['job.json', 'state', 'log']) await rm(join(dir, name), { recursive: true })
    await lab.run('exec', PodJID, '--', 'mv', '/.interlink', '/gone')
    const second = await startIncusPlugin(t, lab, join(first.root, '..'))
    await whenStatus(second.client, pod, isRunning)
    await eventually(async () => (await logOf(second.client, pod)) === 'here\n')
    await second.client.delete(refOf(pod))
    await eventually(none)
  })

  t.test(
    'an image by which an instance cannot take its job is refused in words, and no instance is left',
    async (t) => {
      await lab.run('init', 'busybox', 'bare')
      await lab.run('file', 'push', '/etc/hostname', 'bare/.interlink')
      await lab.run('publish', 'bare', '--alias', 'taken')
      await lab.run('delete', 'bare')
      const { client } = await startIncusPlugin(t, lab)
      await t.rejects(client.create(incusPod('true', { container: { image: 'taken' } })), {
        code: 'PLUGIN_BACKEND_REFUSED',
        message: /does not take its job: its image has a \/\.interlink/
      })
      await eventually(none)
    }
  )

  t.test('what a pod has said while no plugin was there is read from the stopped instance', async (t) => {
    const first = await startIncusPlugin(t, lab)
    const pod = incusPod(`${waiting}; echo said; exit 4`)
    const { PodJID } = await first.client.create(pod)
    await whenStatus(first.client, pod, isRunning)
    await first.close()
    await go(PodJID)
    await eventually(async () => /^STOPPED/.test(await lab.run('list', PodJID, '-f', 'csv', '-c', 's')))
    const second = await startIncusPlugin(t, lab, join(first.root, '..'))
    const { containers } = await whenStatus(second.client, pod, isOver)
    t.equal(containers[0]!.state!.terminated!.exitCode, 4)
    t.equal(await logOf(second.client, pod), 'said\n')
    await eventually(none)
  })

  t.test('a daemon that is killed takes no pod with it', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const pod = incusPod(counting)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await go(PodJID)
    await lab.kill()
    await lab.start()
    const { containers } = await whenStatus(client, pod, isOver)
    t.equal(containers[0]!.state!.terminated!.exitCode, 3)
    t.equal(await logOf(client, pod), lines)
    await eventually(none)
  })

  t.test(
    'an image that is not there is waited for, also by the next plugin, and may be given up',
    async (t) => {
      const first = await startIncusPlugin(t, lab)
      const other = incusPod('true', { container: { image: 'later' } })
      const pods = Array.from({ length: 5 }, () => incusPod('echo here', { container: { image: 'later' } }))
      for (const each of [other, ...pods]) {
        await first.client.create(each)
        const { containers } = await whenStatus(first.client, each, isWithoutImage)
        t.match(containers[0]!.state!.waiting!.message, /later|alias|not found/i)
      }
      await first.client.delete(refOf(other))
      await eventually(async () => (await statusOf(first.client, other)) === undefined)
      await first.close()
      // It looks often, so that it looks while instances are made.
      const often = { listSeconds: 0.1 }
      const second = await startIncusPlugin(t, lab, join(first.root, '..'), {}, often)
      for (const pod of pods)
        await whenStatus(second.client, pod, ({ containers }) => containers[0]?.state?.waiting)
      await lab.run('image', 'alias', 'create', 'later', await fingerprint())
      for (const pod of pods) {
        // It is looked for ever more seldom.
        const { containers, reason } = await whenStatus(second.client, pod, isOver, 400_000)
        t.equal(reason, undefined)
        t.equal(containers[0]!.state!.terminated!.exitCode, 0)
        t.equal(await logOf(second.client, pod), 'here\n')
      }
      await eventually(none)
    }
  )

  t.test('an instance that somebody deletes is told as lost', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const pod = incusPod('sleep 600')
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await lab.run('delete', '--force', PodJID)
    const { reason, containers } = await whenStatus(client, pod, isOver)
    t.equal(reason, 'NodeLost')
    t.equal(containers[0]!.state!.terminated!.exitCode, 137)
  })

  t.test('an image of a registry is refused by an Incus that cannot run it', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    for (const image of ['docker.io/library/busybox:1', 'dockerhub:library/busybox:1'])
      await t.rejects(client.create(incusPod('true', { container: { image } })), {
        code: 'PLUGIN_BACKEND_REFUSED',
        message:
          /busybox:1 is an OCI image, and Incus 6\.0\S* lacks .*use Incus 7, or an image of the server's own/
      })
    t.ok(await none())
  })

  t.test('what the site lacks is told in the words of Incus, and no instance is left', async (t) => {
    const { client } = await startIncusPlugin(t, lab, undefined, { profiles: ['default', 'more'] })
    const pod = incusPod('echo mended')
    await t.rejects(client.create(pod), {
      code: 'PLUGIN_BACKEND_FAILED',
      message: /profile "more" doesn't exist/
    })
    await eventually(none)
    await lab.run('profile', 'create', 'more')
    await client.create(pod)
    await whenStatus(client, pod, isOver)
    t.equal(await logOf(client, pod), 'mended\n')
    await eventually(none)
  })

  t.test(
    'a pod that is root in its instance reaches no file of the plugin by what it leaves there',
    async (t) => {
      const { client, root } = await startIncusPlugin(t, lab)
      const secret = join(root, '../secret')
      await mkdir(join(root, '..'), { recursive: true })
      await writeFile(secret, 'state=terminated\nexit=0\nmessage=canary-of-the-plugin\n', { mode: 0o600 })
      const job = '/.interlink'
      const hostile = [
        `ln -sf ${secret} ${job}/state/c.main.x && mv ${job}/state/c.main.x ${job}/state/c.other`,
        `ln -s ${secret} ${job}/log/main.7`,
        `mkdir ${job}/state/..data; echo x >'${job}/state/-rf'; echo x >"${job}/state/a b"`,
        'echo done; sleep 5'
      ]
      const pod = incusPod(hostile.join('; '))
      await client.create(pod)
      await whenStatus(client, pod, isOver)
      const dir = join(root, `default-${pod.pod.metadata.uid}`)
      const files = [...(await readdir(join(dir, 'state'))), ...(await readdir(join(dir, 'log')))]
      for (const name of files)
        for (const kind of ['state', 'log'])
          t.notMatch(await readFile(join(dir, kind, name), 'utf8').catch(() => ''), /canary/)
      t.match(await logOf(client, pod), /done/)
      await eventually(none)
    }
  )

  const fingerprint = async () => (await lab.run('image', 'list', 'busybox', '-f', 'csv', '-c', 'F')).trim()
})
