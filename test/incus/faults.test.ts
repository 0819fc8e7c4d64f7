import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { eventually } from '../support/eventually.ts'
import { faketimeMissing } from '../support/faketime.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { startWay, trustedBy } from './incus-access.ts'
import { incusPod, instancesOf, letGo, startIncusPlugin, waiting } from './incus-plugin.ts'

void t.test('what goes wrong with Incus', async (t) => {
  if (!requireReal(t, incusMissing() ?? faketimeMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const go = (name: string) => letGo(lab, name)
  /** Everything that could be left of a pod. */
  const all = async () =>
    JSON.stringify(
      await Promise.all(
        ['list -c n', 'storage volume list default', 'profile list'].map((command) =>
          lab.run(...command.split(' '), '-f', 'csv')
        )
      )
    )
  /** Instances of pods that are over go a moment later, and only while there is their plugin. */
  const none = () => eventually(async () => (await instancesOf(lab)).length === 0)
  const isAgain = async (t: Test, before: string) => {
    let now = ''
    await eventually(async () => (now = await all()) === before).catch(() => {})
    t.equal(now, before, 'nothing is left')
  }

  t.test(
    'a server that is away for a while keeps its pods, and nothing that they said is lost',
    async (t) => {
      const way = await startWay(t, Number(new URL(lab.url).port))
      const options = { url: way.url, tls: await trustedBy(lab, 'away'), timeoutSeconds: 20 }
      const { client } = await startIncusPlugin(t, lab, undefined, options)
      const pod = incusPod(
        `${waiting}; i=0; while [ $i -lt 100 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done; exit 3`
      )
      const { PodJID } = await client.create(pod)
      await whenStatus(client, pod, isRunning)
      await go(PodJID)
      way.cut()
      await t.rejects(client.create(incusPod('true')), {
        code: 'PLUGIN_BACKEND_FAILED',
        message: /ECONNREFUSED/
      })
      // Longer than a job that is silent and unknown is waited for.
      await new Promise((resolve) => setTimeout(resolve, 5000))
      t.ok(isRunning((await statusOf(client, pod))!))
      await way.restore()
      const { containers, reason } = await whenStatus(client, pod, isOver)
      t.equal(reason, undefined)
      t.equal(containers[0]!.state!.terminated!.exitCode, 3)
      t.equal(await logOf(client, pod), Array.from({ length: 100 }, (_, index) => `line ${index}\n`).join(''))
      await none()
    }
  )

  t.test('an instance whose server is away at the end of its pod is removed when it is back', async (t) => {
    const way = await startWay(t, Number(new URL(lab.url).port))
    const options = { url: way.url, tls: await trustedBy(lab, 'end'), timeoutSeconds: 20 }
    const { client } = await startIncusPlugin(t, lab, undefined, options)
    const pod = incusPod(waiting)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    // It cannot be removed before the server is away.
    await lab.run('config', 'set', PodJID, 'security.protection.delete=true')
    await go(PodJID)
    await whenStatus(client, pod, isOver)
    way.cut()
    await eventually(
      async () => (await lab.run('config', 'unset', PodJID, 'security.protection.delete')) === ''
    )
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await new Promise((resolve) => setTimeout(resolve, 3000))
    t.same(await instancesOf(lab), [PodJID])
    await way.restore()
    await none()
  })

  t.test(
    'a certificate that has expired is told as such; nothing is made or given up, and a new one is read by itself',
    async (t) => {
      const tls = await trustedBy(lab, 'expired')
      const { client } = await startIncusPlugin(t, lab, undefined, { url: lab.url, tls })
      const running = incusPod(`${waiting}; echo went on`)
      const { PodJID } = await client.create(running)
      await whenStatus(client, running, isRunning)
      const before = await all()
      await trustedBy(lab, 'expired', { seconds: -60 })
      const { validTo } = new X509Certificate(await readFile(tls.certFile))
      t.ok(Date.now() > Date.parse(validTo))
      // The node is not ready then.
      await eventually(async () => !(await client.ping()).ok)
      const pod = incusPod('echo renewed')
      await t.rejects(client.create(pod), {
        code: 'PLUGIN_BACKEND_FAILED',
        message: /not authorized: the certificate of this client is valid .* to .*; replace it/
      })
      await isAgain(t, before)
      t.ok(isRunning((await statusOf(client, running))!))
      const log = { debug() {}, info() {}, warn() {}, error() {} }
      const backend = incusBackend.create({ url: lab.url, tls }, { root: join(lab.dir, 'none'), log })
      t.match(await backend.check(), [
        { name: 'server', ok: true },
        { name: 'certificate', ok: false, detail: /from .* to /, fix: /reads it by itself/ },
        { name: 'trust', ok: false }
      ])
      await backend.close!()
      t.throws(
        () => incusBackend.create({ url: lab.url, tls: { ...tls, keyFile: '/no/key' } }, { root: '/', log }),
        { code: 'IL_CONFIG', message: /options\.tls\.keyFile: .*\/no\/key/ }
      )

      // A certificate that does not fit its key, as while the two are being replaced, ends nothing.
      const other = await trustedBy(lab, 'other')
      await copyFile(other.keyFile, tls.keyFile)
      await trustedBy(lab, 'expired')
      await eventually(() => client.create(pod).catch(() => undefined), {
        deadlineMs: 180_000,
        everyMs: 1000
      })
      await whenStatus(client, pod, isOver)
      t.equal(await logOf(client, pod), 'renewed\n')
      await go(PodJID)
      await whenStatus(client, running, isOver)
      t.equal(await logOf(client, running), 'went on\n')
      await none()
    }
  )

  t.test("the server's own certificate is believed as its file has it now", async (t) => {
    const tls = await trustedBy(lab, 'known')
    const { client } = await startIncusPlugin(t, lab, undefined, { url: lab.url, tls })
    await eventually(async () => (await client.ping()).ok)
    await copyFile(tls.certFile, tls.caFile)
    await eventually(async () => !(await client.ping()).ok)
    const pod = incusPod('echo known')
    await t.rejects(client.create(pod), { code: 'PLUGIN_BACKEND_FAILED', message: /certificate/ })
    await writeFile(tls.caFile, lab.certificate)
    await eventually(() => client.create(pod).catch(() => undefined), { deadlineMs: 180_000, everyMs: 1000 })
    await whenStatus(client, pod, isOver)
    t.equal(await logOf(client, pod), 'known\n')
    await none()
  })

  t.test('two plugins on one server know their own pods alone, even one that both are given', async (t) => {
    const orphans = { policy: 'cancel' as const, afterSeconds: 1 }
    const [one, other] = await Promise.all(
      [0, 1].map(() => startIncusPlugin(t, lab, undefined, {}, { orphans }))
    )
    const pod = incusPod(`${waiting}; echo mine`)
    const { PodJID } = await one!.client.create(pod)
    await whenStatus(one!.client, pod, isRunning)
    await t.rejects(other!.client.create(pod), { message: /UNIQUE constraint|already exists/ })
    t.equal(await statusOf(other!.client, pod), undefined)
    // Time for the other one to look at what it would take for an orphan.
    await new Promise((resolve) => setTimeout(resolve, 5000))
    await go(PodJID)
    const { containers } = await whenStatus(one!.client, pod, isOver)
    t.equal(containers[0]!.state!.terminated!.exitCode, 0)
    t.equal(await logOf(one!.client, pod), 'mine\n')
    await none()
  })

  t.test('an instance that is made but does not start leaves nothing behind', async (t) => {
    const device = ['unix-char', 'source=/dev/no-such-device', 'path=/dev/none']
    await lab.run('profile', 'create', 'broken')
    await lab.run('profile', 'device', 'add', 'broken', 'none', ...device)
    const before = await all()
    const { client } = await startIncusPlugin(t, lab, undefined, { profiles: ['default', 'broken'] })
    await t.rejects(client.create(incusPod('true')), { message: /device path doesn't exist/ })
    await isAgain(t, before)
  })

  t.test(
    'a pod that finds the storage full waits in words, leaves nothing, and starts when there is room',
    async (t) => {
      const small = join(lab.dir, 'small')
      await mkdir(small, { mode: 0o711 })
      const mount = (...options: string[]) =>
        execFileSync('mount', ['-t', 'tmpfs', '-o', options.join(), 'tmpfs', small])
      mount('size=2m')
      t.teardown(() => execFileSync('umount', ['-l', small]))
      await lab.run('storage', 'create', 'small', 'dir', `source=${small}`)
      await lab.run('profile', 'create', 'tight')
      await lab.run('profile', 'device', 'add', 'tight', 'root', 'disk', 'path=/', 'pool=small')
      const before = await all()
      const { client } = await startIncusPlugin(t, lab, undefined, { profiles: ['tight'] })
      const pod = incusPod('echo room')
      await client.create(pod)
      await whenStatus(client, pod, ({ containers }) =>
        /disk space|no space left/i.test(containers[0]?.state?.waiting?.message ?? '')
      )
      await isAgain(t, before)
      mount('remount', 'size=200m')
      await whenStatus(client, pod, isOver)
      t.equal(await logOf(client, pod), 'room\n')
      await isAgain(t, before)
    }
  )
})
