import t from 'tap'
import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { htcondorBackend } from '@interlink-ts/plugins/htcondor'
import { accountsMissing, isUsersAlone, makeAccounts } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import {
  isOver,
  isRunning,
  logOf,
  refOf,
  scriptPod,
  statusOf,
  whenStatus,
  type ScriptPod
} from '../support/plugin.ts'
import { requireReal } from '../support/require-real.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'
import { startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const patience = 180_000

if (requireReal(t, htcondorUnprepared() ?? sshdMissing() ?? accountsMissing())) {
  const names = ['s', 'a', 'b', 'c'].map((letter) => `ic${letter}${process.pid}`)
  const { accounts, remove } = await makeAccounts(names, names.slice(1, 3))
  t.teardown(remove)
  const [service, alice, bob, carol] = accounts as [Owner, Owner, Owner, Owner]
  type Owner = (typeof accounts)[number]
  const [lab, sshd] = await Promise.all([
    startHtcondorLab({ prefix, nodes: 1, users: accounts }),
    startSshd()
  ])
  t.teardown(() => lab.close())
  t.teardown(() => sshd.close())
  await chmod(sshd.dir, 0o711)
  await chmod(join(sshd.dir, 'authorized'), 0o644)

  const podIn = (namespace: string, script: string, given: ScriptPod = {}) => {
    const data = scriptPod(script, given)
    data.pod.metadata.namespace = namespace
    return data
  }
  const ownerOf = async (id: string) => (await lab.run('condor_q', '-allusers', id, '-af', 'Owner')).trim()
  const namespaces = { physics: [alice.name], chemistry: [bob.name, alice.name] }
  const throughSudo = {
    ssh: { ...sshd.options, user: service.name },
    users: { through: 'sudo', namespaces }
  }

  t.test(
    'pods of two namespaces are jobs of two users, whom a service account becomes by sudo',
    async (t) => {
      const dir = join(lab.dir, 'sudo')
      const first = await startHtcondorPlugin(t, lab, dir, throughSudo)
      const script = 'trap "exit 3" TERM; id -un; while :; do sleep 0.1; done'
      const secret = { container: { env: [{ name: 'SECRET', value: 'planted' }] } }
      const pods = [
        [podIn('physics', script, secret), alice],
        [podIn('chemistry', script), bob]
      ] as const
      const ids = await Promise.all(pods.map(async ([pod]) => (await first.client.create(pod)).PodJID))
      for (const [index, [pod, user]] of pods.entries()) {
        await whenStatus(first.client, pod, isRunning, patience)
        await eventually(async () => (await logOf(first.client, pod)) === `${user.name}\n`, {
          deadlineMs: patience
        })
        t.equal(await ownerOf(ids[index]!), user.name, 'the job is of the user')
        await isUsersAlone(t, user, pod)
        const session = await first.client.stream(pod.pod.metadata.uid!, {
          ...{ kind: 'exec', container: 'main', stdin: true, tty: false },
          command: ['/bin/sh', '-c', 'id -un; cat; exit 3']
        })
        session.input.end('typed')
        t.equal(await text(session.output), `${user.name}\ntyped`)
        t.equal((await session.status).details?.causes?.[0]?.message, '3')
      }
      t.equal((await first.client.ping()).parsed?.streams, 'ssh-to-job')
      await first.close()

      const { client } = await startHtcondorPlugin(t, lab, dir, throughSudo)
      for (const [index, [pod]] of pods.entries()) {
        t.equal((await whenStatus(client, pod, isRunning, patience)).JID, ids[index], 'found again')
        t.equal((await client.create(pod)).PodJID, ids[index])
      }
      const [[physics], [chemistry]] = pods
      await client.delete(refOf(physics))
      await eventually(async () => (await statusOf(client, physics)) === undefined, { deadlineMs: patience })
      await eventually(async () => (await ownerOf(ids[0]!)) === '', { deadlineMs: patience })
      t.equal(await ownerOf(ids[1]!), bob.name)
      await client.delete(refOf(chemistry))
      await eventually(async () => (await ownerOf(ids[1]!)) === '', { deadlineMs: patience })
    }
  )

  t.test(
    'a key for each user does it without sudo, and on the machine of the plugin sudo does',
    async (t) => {
      for (const options of [
        { ssh: sshd.options, users: { through: 'ssh', namespaces } },
        { users: { through: 'sudo', namespaces } }
      ]) {
        const { client } = await startHtcondorPlugin(t, lab, undefined, options)
        const pod = podIn('chemistry', 'id -un; exit 4', { annotations: { 'interlink.io/user': alice.name } })
        await client.create(pod)
        const over = await whenStatus(client, pod, isOver, patience)
        t.equal(over.containers[0]!.state!.terminated!.exitCode, 4)
        t.equal(await logOf(client, pod), `${alice.name}\n`)
        for (const refused of [
          podIn('physics', 'id', { annotations: { 'interlink.io/user': bob.name } }),
          podIn('default', 'id')
        ])
          await t.rejects(client.create(refused), { code: 'PLUGIN_REFUSED' })
      }
    }
  )

  t.test(
    'an orphaned job of a user is found and ended; what other namespaces have is the account’s',
    async (t) => {
      const users = { ...throughSudo.users, unmapped: 'account' }
      const options = { ssh: { ...throughSudo.ssh, directory: join(service.home, 'jobs') }, users }
      const first = await startHtcondorPlugin(t, lab, undefined, options)
      const owned = [
        [podIn('physics', 'sleep 600'), alice],
        [podIn('chemistry', 'sleep 600'), bob],
        [podIn('default', 'id -un; sleep 600'), service]
      ] as const
      const ids = await Promise.all(owned.map(async ([pod]) => (await first.client.create(pod)).PodJID))
      for (const [index, [pod, user]] of owned.entries()) {
        await whenStatus(first.client, pod, isRunning, patience)
        t.equal(await ownerOf(ids[index]!), user.name)
      }
      const [[lost], [kept], [others]] = owned
      await eventually(async () => (await logOf(first.client, others)) === `${service.name}\n`, {
        deadlineMs: patience
      })
      await first.close()
      await rm(join(first.root, `physics-${lost.pod.metadata.uid}`), { recursive: true, maxRetries: 10 })
      const orphans = { policy: 'cancel', afterSeconds: 1 } as const
      const { client } = await startHtcondorPlugin(t, lab, join(first.root, '..'), options, { orphans })
      await eventually(async () => (await ownerOf(ids[0]!)) === '', { deadlineMs: patience })
      for (const [index, pod] of [
        [1, kept],
        [2, others]
      ] as const) {
        t.equal(await ownerOf(ids[index]!), owned[index]![1].name, 'whoever else has jobs')
        await client.delete(refOf(pod))
        await eventually(async () => (await ownerOf(ids[index]!)) === '', { deadlineMs: patience })
      }
    }
  )

  t.test('doctor tries each user, by a job of each', async (t) => {
    const context = { root: join(lab.dir, 'doctor'), log: { debug() {}, info() {}, warn() {}, error() {} } }
    const users = { through: 'sudo', namespaces: { ...namespaces, guests: [carol.name] } }
    const options = { ...lab.options, ...throughSudo, users, containers: { runtime: 'host' } }
    const backend = htcondorBackend.create(options, context)
    const checks = await backend.check()
    await backend.close!()
    const of = (name: string) => checks.filter((check) => check.name.startsWith(`${name}: `))
    for (const { name } of [alice, bob]) {
      t.same(
        of(name).filter(({ ok }) => !ok),
        [],
        `${name}: all is well`
      )
      t.match(
        of(name).map(({ name, detail }) => `${name} ${detail}`),
        new RegExp(`${name}: files shared: .* is written by a job on `)
      )
    }
    t.match(of(carol.name), [{ ok: false, detail: /sudo to/ }])
    t.equal((await lab.run('condor_q', '-allusers', '-af', 'ClusterId')).trim(), '', 'no job is left')
  })

  t.test('options that contradict each other are refused', async (t) => {
    const context = { root: lab.dir, log: { debug() {}, info() {}, warn() {}, error() {} } }
    const create = (options: object) => () => htcondorBackend.create(options, context)
    const users = { through: 'sudo', namespaces }
    t.throws(create({ users, files: 'transfer' }), /options\.users: is of files: shared/)
    t.throws(
      create({ users: { ...users, through: 'ssh' } }),
      /options\.users\.through: ssh needs options\.ssh/
    )
    t.throws(create({ users, images: { cache: '/shared' } }), /options\.images\.cache: .*\{user\}/)
  })
}
