import t from 'tap'
import { join } from 'node:path'
import { cp, writeFile } from 'node:fs/promises'
import type { PodStatus } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, isWithoutImage, startIncusPlugin, startIncusProcess } from './incus-plugin.ts'
import { ociLabMissing, ociLabOf } from './oci-lab.ts'
import { startSlowRegistry } from './slow-registry.ts'
import { leftIn, shared, shell, splitPod } from './split-pods.ts'

void t.test('images that take their time, on a real Incus 7.0', async (t) => {
  if (!requireReal(t, ociLabMissing())) return
  const { lab, registry, root, options: remotes, close } = await ociLabOf(startSlowRegistry())
  t.teardown(close)
  const options = { ...remotes, createSeconds: 0.5 }
  const push = async (number: number) => {
    const tree = join(lab.dir, `oci-${number}`)
    await cp(root, tree, { recursive: true, verbatimSymlinks: true })
    await writeFile(join(tree, 'number'), `${number}\n`)
    await registry.push(`lab/slow-${number}:1`, tree)
    return `${registry.host}/lab/slow-${number}:1`
  }
  const [image, another] = await Promise.all([push(1), push(2)])
  /** What Incus has it does not fetch again. */
  const hold = async () => {
    registry.hold()
    const images = JSON.parse(await lab.run('image', 'list', '--format=json')) as {
      fingerprint: string
      cached: boolean
    }[]
    for (const { fingerprint, cached } of images) if (cached) await lab.run('image', 'delete', fingerprint)
  }
  const podOf = (image: string) => incusPod('cat /number', { container: { image } })
  const making = async () =>
    (JSON.parse(await lab.run('operation', 'list', '--format=json')) as { description: string }[]).filter(
      ({ description }) => /^creating/i.test(description)
    ).length
  const none = () => eventually(async () => (await instancesOf(lab)).length === 0 && (await making()) === 0)
  const isPulling = () => eventually(async () => registry.held() > 0)
  const { client } = await startIncusPlugin(t, lab, undefined, options)

  t.test('a create is answered while the image is fetched, and the pod waits for it', async (t) => {
    await hold()
    const pod = podOf(image)
    const { PodJID } = await client.create(pod)
    await isPulling()
    t.match((await statusOf(client, pod))!.containers[0]!.state, { waiting: { reason: 'ContainerCreating' } })
    t.equal((await client.create(pod)).PodJID, PodJID, 'once, however often it is asked for')
    t.equal(await making(), 1)
    registry.release()
    const { containers } = await whenStatus(client, pod, isOver)
    t.equal(containers[0]!.state!.terminated!.exitCode, 0)
    t.equal(await logOf(client, pod), '1\n')
    await none()
  })

  t.test('a pod that is deleted meanwhile is gone at once, and nothing of it comes later', async () => {
    await hold()
    const pod = podOf(image)
    await client.create(pod)
    await isPulling()
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    // Only now is there anything that could be made of it.
    registry.release()
    await none()
  })

  t.test('a fetch that comes to nothing is told as a kubelet tells it, and tried again', async (t) => {
    await hold()
    const pod = podOf(image)
    await client.create(pod)
    await isPulling()
    registry.fail()
    const first = await whenStatus(client, pod, isWithoutImage)
    t.match(first.containers[0]!.state!.waiting!.message, `image ${image}: `)
    const { containers } = await whenStatus(
      client,
      pod,
      ({ containers }) => containers[0]?.state?.waiting?.reason === 'ImagePullBackOff'
    )
    t.match(
      containers[0]!.state!.waiting!.message,
      `Back-off pulling image "${image}": ErrImagePull: image ${image}: `
    )
    await client.delete(refOf(pod))
    await none()
  })

  t.test(
    'a plugin that is killed meanwhile makes nothing twice, and nothing of a pod that goes',
    async (t) => {
      const dir = join(lab.dir, 'killed')
      const first = await startIncusProcess(t, lab, dir, options)
      await hold()
      const [stays, goes] = [podOf(image), podOf(another)]
      for (const pod of [stays, goes]) await first.client.create(pod)
      await eventually(async () => registry.held() > 1)
      await first.kill()
      t.equal(await making(), 2, 'Incus goes on')
      const second = await startIncusPlugin(t, lab, dir, options)
      await whenStatus(second.client, stays, ({ containers }) => containers[0]!.state!.waiting)
      await second.client.delete(refOf(goes))
      await eventually(async () => (await statusOf(second.client, goes)) === undefined)
      t.ok((await making()) <= 2, 'and is asked for nothing twice')
      registry.release()
      await whenStatus(second.client, stays, isOver)
      t.equal(await logOf(second.client, stays), '1\n')
      await none()
      await second.close()
    }
  )

  t.test('of a pod of several instances, those that have their image go on meanwhile', async (t) => {
    const dir = join(lab.dir, 'parts')
    const first = await startIncusProcess(t, lab, dir, options)
    const podOf = () =>
      splitPod({
        terminationGracePeriodSeconds: 1,
        initContainers: [shell('init', 'echo made >/shared/made')],
        containers: [
          shell('here', 'until [ -e /shared/number ]; do sleep 0.1; done; cat /shared/number'),
          {
            name: 'slow',
            image,
            command: ['/bin/sh', '-c', 'cat /number >/shared/number; cat /shared/made'],
            volumeMounts: [shared]
          }
        ]
      })
    const nothing = () => eventually(async () => (await leftIn(lab)).length === 0 && (await making()) === 0)
    const isHalf = ({ containers: [here, slow] }: PodStatus) =>
      here?.state?.running && slow?.state?.waiting?.reason === 'ContainerCreating'
    await hold()
    const goes = podOf()
    await first.client.create(goes)
    await whenStatus(first.client, goes, isHalf)
    await isPulling()
    await first.client.delete(refOf(goes))
    await eventually(async () => (await statusOf(first.client, goes)) === undefined)
    registry.release()
    await nothing()

    await hold()
    const stays = podOf()
    await first.client.create(stays)
    await whenStatus(first.client, stays, isHalf)
    await isPulling()
    await first.kill()
    const second = await startIncusPlugin(t, lab, dir, options)
    await whenStatus(second.client, stays, isHalf)
    // Incus tells of what is over for a while.
    await eventually(async () => (await making()) === 1)
    registry.release()
    const { containers } = await whenStatus(second.client, stays, isOver)
    t.same(
      containers.map(({ state }) => state?.terminated?.exitCode),
      [0, 0]
    )
    t.equal(await logOf(second.client, stays, 'here'), '1\n')
    t.equal(await logOf(second.client, stays, 'slow'), 'made\n')
    await nothing()
  })
})
