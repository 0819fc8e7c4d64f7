import t from 'tap'
import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container } from '@interlink-ts/interlink-api/wire'
import { of } from '../../../test/conformance/workbench.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { onPath } from '../../../test/support/on-path.ts'
import { requireReal } from '../../../test/support/require-real.ts'
import { imageCases } from './support-image-cases.ts'
import { busybox, call, unpackedImage } from './support-images.ts'
import { workDirectory } from './support-plugin.ts'
import { startSite } from './support-process.ts'

const podman = onPath('podman')
const image = `localhost/interlink-test-${process.pid}:1`

const needed = () =>
  process.getuid!() !== 0
    ? 'the images are made by root'
    : !busybox
      ? 'busybox is missing; install busybox-static'
      : podman
        ? undefined
        : 'Podman is missing'

/** For machines whose root may not raise limits, and where cgroups are laid out in a way that crun refuses. */
const configuration = `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`

t.test('Podman, under root', async (t) => {
  if (!requireReal(t, needed())) return
  const dir = await workDirectory(t)
  await writeFile(join(dir, 'containers.conf'), configuration)
  const environment = { CONTAINERS_CONF: join(dir, 'containers.conf') }
  const node = `/dev/interlink-test-${process.pid}`
  await call('mknod', [node, 'c', '1', '3'])
  t.teardown(() => rm(node))
  const card = { id: 'one', vendor: 'xilinx.com', model: 'U55C', paths: [node] }
  const cards = { cards: [{ ...card, sharing: { type: 'fpga', shell: 'xilinx_u55c' } }] }
  await writeFile(join(dir, 'cards.yaml'), JSON.stringify(cards))
  const site = await startSite(t, {
    config: {
      devices: { inventory: join(dir, 'cards.yaml') },
      options: { images: { apptainer: '', podman, environment } }
    }
  })
  const env = { ...process.env, ...environment }
  const root = await unpackedImage(join(site.dir, 'little'))
  const tar = join(site.dir, 'little.tar')
  await call('tar', ['-C', root, '-cf', tar, '.'])
  t.teardown(() => call(podman!, ['rmi', '--force', image], { env }))
  const said = ['ENTRYPOINT ["/entry"]', 'CMD ["its own"]', 'ENV LD_LIBRARY_PATH=/of/the/image']
  await call(podman!, ['import', '--quiet', ...said.flatMap((line) => ['--change', line]), tar, image], {
    env
  })
  await imageCases(t, { site, image, anyName: true, mapsUsers: true })

  await t.test('a value of several lines that would steer Podman is refused', async (t) => {
    const value = 'one\ntwo'
    const refusal = await site.refusal({
      containers: [site.shell('true', { image, env: [{ name: 'LD_PRELOAD', value }] })]
    })
    t.match(refusal.message, /containers\[0\]\.env.*LD_PRELOAD would change/)
  })

  await t.test('a container has the nodes of the devices it was given, and no others', async (t) => {
    const look = (more = {}) => site.shell(`test -c ${node} && echo there || echo none`, { image, ...more })
    const pod = await site.run({
      containers: [look({ resources: { limits: { 'xilinx.com/fpga': '1' } } }), { ...look(), name: 'other' }]
    })
    await pod.ended()
    t.equal(await pod.log(), 'there\n')
    t.equal(await pod.log('other'), 'none\n')
  })

  await t.test('an image that is not to be pulled, or cannot be, is said', async (t) => {
    const none = { image: '127.0.0.1:1/none:1' }
    const never = await site.run({ containers: [site.shell('true', { ...none, imagePullPolicy: 'Never' })] })
    t.match(of(await never.ended()).state!.terminated, { reason: 'ErrImageNeverPull' })
    const missing = await site.run({ containers: [site.shell('true', none)] })
    t.match(of(await missing.ended()).state!.terminated, {
      reason: 'ErrImagePull',
      message: /127\.0\.0\.1:1\/none:1 cannot be pulled.*refused/s
    })
  })

  await t.test('a caller who goes takes along what runs among the processes of the machine', async (t) => {
    const pod = await site.run({
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'host', command: ['sleep', '1000'] }]
    })
    await pod.running()
    const debug = site.shell('sleep 1000', { image, name: 'debug', targetContainerName: 'main' })
    const spec = { ...pod.pod.spec, ephemeralContainers: [debug as unknown as Container] }
    await site.client.addEphemeral({ pod: { ...pod.pod, spec }, container: 'debug' })
    await pod.running('debug')
    for (const tty of [false, true]) {
      const script = 'trap "" HUP; echo "pid $$ of"; while :; do sleep 0.2; done'
      const command = ['/bin/sh', '-c', script]
      const session = await site.client.stream(pod.uid, {
        ...{ kind: 'exec', container: 'debug', command, stdin: true, tty }
      })
      let said = ''
      session.output.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const pid = Number(await eventually(() => /pid (\d+) of/.exec(said)?.[1]))
      t.match(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /trap/, 'it sees the processes of the machine')
      session.destroy()
      await eventually(() => !existsSync(`/proc/${pid}`))
    }
    await site.client.delete(pod.pod)
  })

  await t.test('containers that are to see each other are refused', async (t) => {
    const [one, other] = ['one', 'other'].map((name) => site.shell('true', { image, name }))
    const refusal = await site.refusal({ shareProcessNamespace: true, containers: [one!, other!] })
    t.match(refusal.message, /shareProcessNamespace: Podman gives each container/)
  })

  await t.test('nothing is left of a container', async () => {
    await site.cleanUp()
    const left = ['ps', '--all', '--quiet', '--filter', `ancestor=${image}`]
    await eventually(async () => (await call(podman!, left, { env })).stdout === '')
  })
})
