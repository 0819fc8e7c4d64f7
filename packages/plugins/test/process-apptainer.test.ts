import t from 'tap'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { of } from '../../../test/conformance/workbench.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { onPath } from '../../../test/support/on-path.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { imageCases } from './support-image-cases.ts'
import { busybox, call, ownedBy, unpackedImage } from './support-images.ts'
import { startSite } from './support-process.ts'

const apptainer = onPath('apptainer')

const needed = () =>
  process.getuid!() !== 0
    ? 'the images are made by root'
    : !busybox
      ? 'busybox is missing; install busybox-static'
      : apptainer
        ? undefined
        : 'Apptainer is missing'

for (const uid of [undefined, 65534])
  t.test(`Apptainer, under ${uid ? 'an ordinary user' : 'root'}`, async (t) => {
    if (!requireReal(t, needed())) return
    const site = await startSite(t, {
      ...(uid ? { uid } : {}),
      config: { options: { images: { apptainer, podman: '' } } }
    })
    const image = join(site.dir, 'little.sif')
    await call(apptainer!, ['--silent', 'build', image, await unpackedImage(join(site.dir, 'little'))])
    await ownedBy(image, uid)
    await imageCases(t, { site, image, anyName: false, mapsUsers: false })

    await t.test('a name that Apptainer cannot set is refused', async (t) => {
      const env = ['a-b', 'UID', 'FINE'].map((name) => ({ name, value: 'x' }))
      const { message } = await site.refusal({ containers: [site.shell('true', { image, env })] })
      t.match(message, /containers\[0\]\.env.*a-b, UID in a container/)
    })

    await t.test('what Apptainer serves a container with ends with it, however it ends', async (t) => {
      const pod = await site.run({ containers: [site.shell('echo up; sleep 1000', { image })] })
      await pod.said('up')
      const run = join(site.jobs, `conformance-${pod.uid}`, 'run/main.pid')
      const leader = (await readFile(run, 'utf8')).trim()
      const ofSession = async () => {
        const { stdout } = await call('ps', ['-eo', 'sid=,pid=,args='])
        return stdout.split('\n').filter((line) => line.trim().startsWith(`${leader} `))
      }
      t.match((await ofSession()).join('\n'), /squashfuse|fuse2fs|fuse-overlayfs/)
      await pod.delete(0)
      await eventually(async () => (await ofSession()).length === 0)
    })

    await t.test('an image that cannot be pulled is said', async (t) => {
      const pod = await site.run({ containers: [site.shell('true', { image: '127.0.0.1:1/none:1' })] })
      const { terminated } = of(await pod.ended()).state!
      t.match(terminated, {
        reason: 'ErrImagePull',
        message: /127\.0\.0\.1:1\/none:1 cannot be pulled.*refused/s
      })
    })
  })
