import t from 'tap'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import type { PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, startIncusPlugin, startIncusProcess } from './incus-plugin.ts'
import { ociLabMissing, startOciLab } from './oci-lab.ts'
import { exec, isAllOver, layout, leftIn, shared, shell, splitPod, waits } from './split-pods.ts'

void t.test('a pod whose containers are an instance each', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  // An image of another kind.
  await writeFile(join(lab.dir, 'kind'), 'another image\n')
  await lab.run('init', 'busybox', 'made')
  await lab.run('file', 'push', '--mode=644', join(lab.dir, 'kind'), 'made/kind')
  await lab.run('publish', 'made', '--alias', 'other')
  await lab.run('delete', 'made')
  const before = await leftIn(lab)
  t.same(before, [])
  const none = () => eventually(async () => (await leftIn(lab)).length === 0)

  t.test('they start in their order, share a directory, and are reached one by one', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const pod = splitPod({
      securityContext: { fsGroup: 2000 },
      initContainers: [
        shell('first', 'echo made >/shared/made; hostname; exit 0'),
        shell('side', 'read -r word; echo "$word" >/shared/word; exec sleep 1000', {
          restartPolicy: 'Always',
          stdin: true
        })
      ],
      containers: [
        shell('main', waits('main'), { resources: { limits: { cpu: '500m', memory: '64Mi' } } }),
        shell('web', `cat /shared/made; nc -ll -p 8090 -e echo web & ${waits('web')}`, { image: 'other' })
      ]
    })
    const { PodJID } = await client.create(pod)
    const status = await whenStatus(client, pod, isRunning)
    t.match(status.notices, [{ reason: 'NetworkNotShared' }])
    const name = (part: string) => PodJID.replace('*', part)
    t.same(await leftIn(lab), ['first', 'main', 'shared', 'side', 'web'].map(name).sort())
    t.match(status.initContainers, [
      { name: 'first', state: { terminated: { exitCode: 0 } } },
      { name: 'side', state: { running: {} } }
    ])
    t.equal(await lab.run('config', 'get', name('main'), 'limits.cpu.allowance'), '50ms/100ms\n')
    t.equal(await lab.run('config', 'get', name('web'), 'limits.memory'), '\n')
    t.equal(await logOf(client, pod, 'first'), `${pod.pod.metadata.name}\n`)
    await eventually(async () => (await logOf(client, pod, 'web')) === 'made\nweb sees another image\n')
    await eventually(async () => (await logOf(client, pod, 'main')) === 'main sees \n')
    const { uid = '' } = pod.pod.metadata
    const attached = await client.stream(uid, { kind: 'attach', container: 'side', stdin: true, tty: false })
    attached.input.write('told\n')
    await eventually(async () => (await exec(client, pod, 'web', 'cat /shared/word')) === 'told\n')
    attached.destroy()
    t.equal(
      await exec(client, pod, 'side', 'stat -c "%a %g" /shared; ls /kind 2>/dev/null; true'),
      '2777 2000\n'
    )
    const used = await eventually(async () => (await client.usage()).find(({ UID }) => UID === uid))
    t.same(used?.containers.map(({ name }) => name).sort(), ['main', 'side', 'web'])
    const forwarded = await client.stream(uid, { kind: 'portforward', port: 8090 })
    t.equal(await text(forwarded.output), 'web\n', 'of the container that listens')
    forwarded.destroy()

    await exec(client, pod, 'main', 'echo 3 >/shared/web; echo 0 >/shared/main')
    const over = await whenStatus(client, pod, isAllOver)
    t.match(over.containers, [
      { name: 'main', state: { terminated: { exitCode: 0 } } },
      { name: 'web', state: { terminated: { exitCode: 3, reason: 'Error' } } }
    ])
    await none()
  })

  t.test('a plugin that is killed, while it creates and while they run, loses nothing', async (t) => {
    const dir = join(lab.dir, 'killed')
    const start = () => startIncusProcess(t, lab, dir)
    const first = await start()
    const pod = splitPod({
      initContainers: [
        shell('first', 'echo once >>/shared/made'),
        shell('side', 'exec sleep 1000', { restartPolicy: 'Always' })
      ],
      containers: [shell('main', `cat /shared/made; ${waits('main')}`)]
    })
    const cut = first.client.create(pod).catch(() => {})
    const parts = () => leftIn(lab).then((names) => names.filter((name) => !name.endsWith('-shared')))
    await eventually(async () => (await parts()).length > 0)
    await first.kill()
    await cut
    const second = await start()
    await whenStatus(second.client, pod, isRunning)
    t.equal((await parts()).length, 3)
    await eventually(async () => (await logOf(second.client, pod, 'main')).endsWith('main sees \n'))
    t.match(await logOf(second.client, pod, 'main'), /^once\nmain/)
    await second.kill()
    const main = (await parts()).find((name) => name.endsWith('-main'))!
    await lab.run('exec', main, '--', 'sh', '-c', 'echo 5 >/.interlink-volumes/shared/main')
    await eventually(() => lab.run('exec', main, '--', 'cat', '/.interlink/state/pod'))
    const { client } = await start()
    const { containers, initContainers } = await whenStatus(client, pod, isAllOver)
    t.equal(containers[0]!.state!.terminated!.exitCode, 5)
    t.match(initContainers, [{ state: { terminated: { exitCode: 0 } } }, { state: { terminated: {} } }])
    t.equal(await logOf(client, pod, 'main'), 'once\nmain sees \n')
    await none()
  })

  t.test('what is deleted, and what nobody knows any more, leaves no instance and no volume', async (t) => {
    const first = await startIncusPlugin(
      t,
      lab,
      undefined,
      {},
      { orphans: { policy: 'cancel', afterSeconds: 0 } }
    )
    const make = async (...more: object[]) => {
      const pod = splitPod({
        terminationGracePeriodSeconds: 1,
        containers: [shell('a', 'sleep 1000'), shell('b', 'trap "" TERM; sleep 1000'), ...more]
      })
      await first.client.create(pod)
      const isThere = ({ containers }: PodStatus) =>
        containers.slice(0, 2).every(({ state }) => state?.running)
      return { pod, status: await whenStatus(first.client, pod, isThere) }
    }
    const { pod, status } = await make(shell('c', 'true', { image: 'nowhere' }))
    t.match(status.containers[2], {
      name: 'c',
      state: { waiting: { reason: 'ErrImagePull', message: /nowhere/ } }
    })
    t.equal((await leftIn(lab)).length, 3)
    await first.client.delete(refOf(pod))
    await eventually(async () => (await statusOf(first.client, pod)) === undefined)
    await none()
    await make()
    await first.close()
    for (const name of await readdir(first.root))
      if (name.startsWith('default-')) await rm(join(first.root, name), { recursive: true })
    await startIncusPlugin(
      t,
      lab,
      join(first.root, '..'),
      {},
      { orphans: { policy: 'cancel', afterSeconds: 0 } }
    )
    await none()
  })

  t.test(
    'an instance that somebody deletes takes the pod along, also where there may be several servers',
    async (t) => {
      const servers = { here: { url: `unix://${lab.socket}` } }
      const { client } = await startIncusPlugin(t, lab, undefined, { servers })
      const pod = splitPod({ containers: [shell('a', 'sleep 1000'), shell('b', 'sleep 1000')] })
      const { PodJID } = await client.create(pod)
      await whenStatus(client, pod, isRunning)
      await lab.run('delete', '--force', PodJID.replace('here/', '').replace('*', 'b'))
      t.match(await whenStatus(client, pod, isOver), {
        reason: 'NodeLost',
        containers: [
          { state: { terminated: { exitCode: 137 } } },
          { state: { terminated: { exitCode: 137 } } }
        ]
      })
      await none()
    }
  )

  t.test('what cannot be had is refused by its field, and nothing is left of it', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const two = [shell('a', 'true'), shell('b', 'true')]
    const refused = async (pod: RetrievedPodData, message: RegExp) => {
      await t.rejects(client.create(pod), { message })
      t.same(await leftIn(lab), [])
    }
    const annotated = (annotations: Record<string, string>) => incusPod('true', { annotations })
    await refused(
      annotated({ ...layout, 'interlink.io/incus-type': 'vm' }),
      /incus-layout\]: a virtual machine has all/
    )
    await refused(annotated({ 'interlink.io/incus-layout': 'odd' }), /incus-layout\]: "odd" is no layout/)
    await refused(splitPod({ shareProcessNamespace: true, containers: two }), /spec.shareProcessNamespace: /)
    const memory = [{ name: 'shared', emptyDir: { medium: 'Memory' } }]
    await refused(
      splitPod({ volumes: memory, containers: two }),
      /spec.volumes\[shared\].emptyDir.medium: memory is not shared/
    )
    await lab.run('init', 'busybox', 'bare')
    await lab.run('file', 'push', '/etc/hostname', 'bare/.interlink')
    await lab.run('publish', 'bare', '--alias', 'taken')
    await lab.run('delete', 'bare')
    const taken = shell('b', 'true', { image: 'taken' })
    await refused(splitPod({ containers: [shell('a', 'sleep 1000'), taken] }), /does not take its job/)
    const late = splitPod({ initContainers: [shell('a', 'true')], containers: [taken] })
    await client.create(late)
    const { reason, message } = await whenStatus(client, late, ({ reason }) => reason)
    t.match(
      { reason, message },
      { reason: 'ContainerRefused', message: /container b: .*does not take its job/ }
    )
    await none()
  })
})

void t.test('two images of a registry in one pod, on Incus 7.0', async (t) => {
  if (!requireReal(t, ociLabMissing())) return
  const { lab, registry, root, options, close } = await startOciLab()
  t.teardown(close)
  const says = (word: string) => ({
    entrypoint: ['/bin/sh', '-c'],
    cmd: [
      `echo ${word} >/shared/${word}; until [ -e /shared/one ] && [ -e /shared/two ]; do sleep 0.1; done; cat /kind`
    ],
    env: ['PATH=/bin:/sbin']
  })
  for (const word of ['one', 'two']) {
    await writeFile(join(root, 'kind'), `of ${word}\n`)
    await registry.push(`lab/${word}:1`, root, says(word))
  }
  const { client } = await startIncusPlugin(t, lab, undefined, options)
  const of = (name: string) => ({ name, image: `lab:lab/${name}:1`, volumeMounts: [shared] })
  const pod = splitPod({ containers: [of('one'), of('two')] })
  await client.create(pod)
  const { containers } = await whenStatus(client, pod, isOver)
  t.match(containers, [
    { state: { terminated: { exitCode: 0 } } },
    { state: { terminated: { exitCode: 0 } } }
  ])
  for (const word of ['one', 'two']) t.equal(await logOf(client, pod, word), `of ${word}\n`)
  await eventually(async () => (await leftIn(lab)).length === 0)
})
