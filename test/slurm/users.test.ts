import t from 'tap'
import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { accountsMissing, isUsersAlone, makeAccounts } from '../support/accounts.ts'
import {
  isOver,
  isRunning,
  logOf,
  refOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus,
  type ScriptPod
} from './slurm-plugin.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

if (requireReal(t, slurmMissing() ?? sshdMissing() ?? accountsMissing())) {
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const names = ['s', 'a', 'b', 'c'].map((letter) => `il${letter}${process.pid}`)
  const { accounts, remove } = await makeAccounts(names, names.slice(1, 3))
  t.teardown(remove)
  const [service, alice, bob, carol] = accounts as [Owner, Owner, Owner, Owner]
  type Owner = (typeof accounts)[number]
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  // Every account reads the configuration of Slurm, and its public key.
  for (const dir of [lab.dir, sshd.dir]) await chmod(dir, 0o711)
  await chmod(join(sshd.dir, 'authorized'), 0o644)

  const podIn = (namespace: string, script: string, given: ScriptPod = {}) => {
    const data = scriptPod(script, given)
    data.pod.metadata.namespace = namespace
    return data
  }
  const asking = (user: string) => ({ annotations: { 'interlink.io/user': user } })
  /** UID, user and state, without the mark of the root. */
  const queue = async () =>
    (await lab.run('squeue', '-h', '-t', 'all', '-o', '%k|%u|%T'))
      .split('\n')
      .map((line) => line.replace(/ [^|]*/, ''))
  const namespaces = { physics: [alice.name], chemistry: [bob.name, alice.name], guests: [carol.name] }
  const throughSudo = {
    ssh: { ...sshd.options, user: service.name },
    users: { through: 'sudo', namespaces }
  }

  t.test('pods of two namespaces run as two users, whom a service account becomes by sudo', async (t) => {
    const dir = join(lab.dir, 'sudo')
    const first = await startSlurmPlugin(t, lab, dir, throughSudo)
    const go = join(lab.dir, 'go')
    const script = `id -un; echo "$SECRET" >/dev/null; until [ -e ${go} ]; do sleep 0.1; done; exit 3`
    const secret = { container: { env: [{ name: 'SECRET', value: 'planted' }] } }
    const physics = podIn('physics', script, secret)
    const chemistry = podIn('chemistry', script)
    const pods = [
      [physics, alice],
      [chemistry, bob]
    ] as const
    for (const [pod] of pods) await first.client.create(pod)
    for (const [pod, user] of pods) {
      await whenStatus(first.client, pod, isRunning)
      await eventually(async () => (await logOf(first.client, pod)) === `${user.name}\n`)
      t.ok((await queue()).includes(`${pod.pod.metadata.uid}|${user.name}|RUNNING`), 'the job is of the user')
      await isUsersAlone(t, user, pod)
    }
    await first.close()

    const { client } = await startSlurmPlugin(t, lab, dir, throughSudo)
    for (const [pod] of pods) t.ok(isRunning((await statusOf(client, pod))!), 'found again')
    t.same(await client.create(physics), {
      PodUID: physics.pod.metadata.uid,
      PodJID: (await statusOf(client, physics))!.JID
    })
    await client.delete(refOf(physics))
    await eventually(async () => (await statusOf(client, physics)) === undefined)
    await eventually(
      async () => !(await queue()).includes(`${physics.pod.metadata.uid}|${alice.name}|RUNNING`)
    )
    await writeFile(go, '')
    const over = await whenStatus(client, chemistry, isOver)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 3)
  })

  t.test('sessions are of the user whose job it is', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, throughSudo)
    const pods = [
      [podIn('physics', 'sleep 1000'), alice],
      [podIn('chemistry', 'sleep 1000'), bob]
    ] as const
    for (const [pod] of pods) await client.create(pod)
    for (const [pod, { name }] of pods) {
      await whenStatus(client, pod, isRunning)
      const session = await client.stream(pod.pod.metadata.uid!, {
        ...{ kind: 'exec', container: 'main', stdin: true, tty: false },
        command: ['/bin/sh', '-c', 'id -un; cat; exit 3']
      })
      session.input.end('typed')
      t.equal(await text(session.output), `${name}\ntyped`)
      t.equal((await session.status).details?.causes?.[0]?.message, '3')
    }
    t.equal((await client.ping()).parsed?.streams, 'srun')
    t.same(
      (await lab.run('squeue', '-h', '-s', '-o', '%j %u'))
        .trim()
        .split('\n')
        .filter((step) => /streams/.test(step))
        .sort(),
      [alice, bob].map(({ name }) => `interlink-streams ${name}`).sort()
    )
  })

  t.test('a pod gets no user that its namespace does not have', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, throughSudo)
    const chosen = podIn('chemistry', 'id -un', asking(alice.name))
    await client.create(chosen)
    await whenStatus(client, chosen, isOver)
    t.equal(await logOf(client, chosen), `${alice.name}\n`, 'another user of its namespace, by annotation')
    for (const [pod, field] of [
      [podIn('physics', 'id', asking(bob.name)), 'metadata.annotations[interlink.io/user]'],
      [podIn('physics', 'id', asking('root')), 'metadata.annotations[interlink.io/user]'],
      [podIn('physics', 'id', asking('#0')), 'metadata.annotations[interlink.io/user]'],
      [podIn('constructor', 'id'), 'metadata.namespace'],
      [podIn('default', 'id', asking(alice.name)), 'metadata.annotations[interlink.io/user]']
    ] as const) {
      await t.rejects(client.create(pod), {
        code: 'PLUGIN_REFUSED',
        message: new RegExp(field.replace(/[[\].]/g, '\\$&'))
      })
      t.equal(await statusOf(client, pod), undefined)
    }
  })

  t.test('a user whom no rule of sudo gives is told, and hinders no other', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, throughSudo)
    await t.rejects(client.create(podIn('guests', 'id')), {
      code: 'PLUGIN_BACKEND_FAILED',
      message: new RegExp(`sudo to ${carol.name} on \\S+: .*NOPASSWD`)
    })
    const pod = podIn('physics', 'id -un')
    await client.create(pod)
    await whenStatus(client, pod, isOver)
  })

  t.test('an orphaned job of a user is found and ended, whoever else has jobs', async (t) => {
    const first = await startSlurmPlugin(t, lab, undefined, throughSudo)
    const [lost, kept] = [podIn('physics', 'sleep 600'), podIn('chemistry', 'sleep 600')]
    for (const pod of [lost, kept]) {
      await first.client.create(pod)
      await whenStatus(first.client, pod, isRunning)
    }
    await first.close()
    await rm(join(first.root, `physics-${lost.pod.metadata.uid}`), { recursive: true, maxRetries: 10 })
    const orphans = { policy: 'cancel', afterSeconds: 1 } as const
    const { client } = await startSlurmPlugin(t, lab, join(first.root, '..'), throughSudo, { orphans })
    await eventually(async () => (await queue()).includes(`${lost.pod.metadata.uid}|${alice.name}|CANCELLED`))
    t.ok((await queue()).includes(`${kept.pod.metadata.uid}|${bob.name}|RUNNING`))
    await client.delete(refOf(kept))
    await eventually(async () => (await statusOf(client, kept)) === undefined)
  })

  t.test('on the machine of the plugin itself, sudo does the same; others run as its account', async (t) => {
    const users = { through: 'sudo', namespaces: { physics: [alice.name] }, unmapped: 'account' }
    const { client } = await startSlurmPlugin(t, lab, undefined, { users })
    const pods = [podIn('physics', 'id -un'), podIn('default', 'id -un')] as const
    for (const [index, pod] of pods.entries()) {
      await client.create(pod)
      await whenStatus(client, pod, isOver)
      t.equal(await logOf(client, pod), `${[alice.name, 'root'][index]}\n`)
    }
    const nonRoot = { spec: { securityContext: { runAsNonRoot: true } } }
    const safe = podIn('physics', 'id -un', nonRoot)
    await client.create(safe)
    await whenStatus(client, safe, isOver)
    await t.rejects(client.create(podIn('default', 'id', nonRoot)), {
      code: 'PLUGIN_REFUSED',
      message: /spec\.containers\[0\]\.securityContext\.runAsNonRoot: .*would run as root/
    })
  })

  t.test('with a key for each user, SSH does it without sudo', async (t) => {
    for (const { name } of [alice, bob]) await copyFile(sshd.options.keyFile, join(sshd.dir, `key-${name}`))
    const users = { through: 'ssh', namespaces, keyFile: join(sshd.dir, 'key-{user}') }
    const { client } = await startSlurmPlugin(t, lab, undefined, { ssh: sshd.options, users })
    const pod = podIn('chemistry', 'id -un; exit 4')
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 4)
    t.equal(await logOf(client, pod), `${bob.name}\n`)
    await t.rejects(client.create(podIn('guests', 'id')), { message: /keyFile.*key-/ })
  })

  t.test('Slurm’s clients are those of options.bin, whoever runs them and wherever', async (t) => {
    const bin = join(lab.dir, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'sbatch'), '#!/bin/sh\necho "sbatch: error: asked $(id -un)" >&2\nexit 1\n')
    for (const path of [bin, join(bin, 'sbatch')]) await chmod(path, 0o755)
    const users = { through: 'sudo', namespaces }
    for (const [options, user] of [
      [{}, 'root'],
      [{ users }, alice.name],
      [{ ssh: sshd.options }, 'root'],
      [throughSudo, alice.name]
    ] as const) {
      const { client } = await startSlurmPlugin(t, lab, undefined, { ...options, bin })
      await t.rejects(client.create(podIn('physics', 'true')), { message: new RegExp(`asked ${user}$`) })
    }
  })

  t.test('doctor tries each user', async (t) => {
    const context = { root: join(lab.dir, 'doctor'), log: { debug() {}, info() {}, warn() {}, error() {} } }
    const options = { ...throughSudo, conf: lab.env.SLURM_CONF, containers: { runtime: 'host' } }
    const backend = slurmBackend.create(options, context)
    const checks = await backend.check()
    await backend.close!()
    const of = (name: string) => checks.filter((check) => check.name.startsWith(`${name}: `))
    for (const { name } of [alice, bob])
      t.same(
        of(name).filter(({ ok }) => !ok),
        [],
        `${name}: all is well`
      )
    t.match(of(carol.name), [{ ok: false, detail: /sudo to/ }])
  })

  t.test('options that contradict each other are refused', async (t) => {
    const context = { root: lab.dir, log: { debug() {}, info() {}, warn() {}, error() {} } }
    const create = (options: object) => () => slurmBackend.create(options, context)
    const users = { through: 'sudo', namespaces: { a: ['x'] } }
    t.throws(
      create({ users: { ...users, through: 'ssh' } }),
      /options\.users\.through: ssh needs options\.ssh/
    )
    t.throws(create({ users, images: { cache: '/shared' } }), /options\.images\.cache: .*\{user\}/)
    t.throws(create({ users: { ...users, namespaces: { a: ['root'] } } }))
    t.throws(create({ users: { ...users, namespaces: { a: ['-uroot'] } } }))
  })
}
