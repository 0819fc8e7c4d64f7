import t from 'tap'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { eventually } from '../support/eventually.ts'
import { isOver, isRunning, logOf, refOf, scriptPod, statusOf, whenStatus } from '../support/plugin.ts'
import { requireReal } from '../support/require-real.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'
import { startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const patience = 180_000

if (requireReal(t, htcondorUnprepared() ?? sshdMissing())) {
  const lab = await startHtcondorLab({ prefix, nodes: 1 })
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const far = join(lab.dir, 'far')
  const inQueue = async () => (await lab.run('condor_q', '-allusers', '-af', 'InterLinkPodUID')).trim()

  t.test('behind SSH a pod runs, is looked into, and is deleted', async (t) => {
    const places = [
      ['the machines see the files of the plugin', sshd.options],
      ['job directories travel', { ...sshd.options, directory: far }]
    ] as const
    for (const [title, ssh] of places)
      await t.test(title, async (t) => {
        const { client, root } = await startHtcondorPlugin(t, lab, undefined, { ssh })
        const go = join(lab.dir, `go-${title.length}`)
        const pod = scriptPod('echo "$GREETING"; until [ -e "$GO" ]; do sleep 0.1; done; echo end; exit 6', {
          container: {
            env: [
              { name: 'GREETING', value: 'what\'s "up" $HOME\nsecond' },
              { name: 'GO', value: go }
            ]
          }
        })
        const there = join('directory' in ssh ? far : root, `default-${pod.pod.metadata.uid}`)
        await client.create(pod)
        await whenStatus(client, pod, isRunning, patience)
        t.ok(existsSync(there))
        t.equal(existsSync(join(there, 'plan.json')), !('directory' in ssh), 'the plan stays with the plugin')
        const before = 'what\'s "up" $HOME\nsecond\n'
        await eventually(async () => (await logOf(client, pod)) === before, { deadlineMs: patience })

        const session = await client.stream(pod.pod.metadata.uid!, {
          ...{ kind: 'exec', container: 'main', stdin: true, tty: false },
          command: ['/bin/sh', '-c', 'echo "$GO"; cat; exit 3']
        })
        session.input.end('typed')
        t.equal(await text(session.output), `${go}\ntyped`)
        t.equal((await session.status).details?.causes?.[0]?.message, '3')
        t.equal((await client.ping()).parsed?.streams, 'ssh-to-job')

        await writeFile(go, '')
        const over = await whenStatus(client, pod, isOver, patience)
        t.equal(over.containers[0]!.state!.terminated!.exitCode, 6)
        t.equal(await logOf(client, pod), `${before}end\n`, 'the end of the log is there with the end')
        if ('directory' in ssh) await eventually(() => !existsSync(there))

        const long = scriptPod('trap "exit 0" TERM; while :; do sleep 0.1; done')
        await client.create(long)
        await whenStatus(client, long, isRunning, patience)
        await client.delete(refOf(long))
        await eventually(async () => (await statusOf(client, long)) === undefined, { deadlineMs: patience })
        await eventually(async () => (await inQueue()) === '', { deadlineMs: patience })
      })
  })

  t.test('a plugin has event logs of its own, be its jobs in the directory of another', async (t) => {
    const ssh = { ...sshd.options, directory: far }
    const before = await readdir(join(far, '.events'))
    t.equal(before.length, 1)
    const { client } = await startHtcondorPlugin(t, lab, undefined, { ssh })
    const pod = scriptPod('exit 5')
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver, patience)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 5)
    const [own, ...others] = (await readdir(join(far, '.events'))).filter((name) => !before.includes(name))
    t.same(others, [])
    t.equal((await readdir(join(far, '.events', own!))).length, 1)
  })

  t.test('sshd that is cut and comes back is found again, and nothing is lost', async (t) => {
    const { client } = await startHtcondorPlugin(t, lab, undefined, {
      ssh: { ...sshd.options, directory: far }
    })
    const go = join(lab.dir, 'go-cut')
    const pod = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 7`)
    await client.create(pod)
    await whenStatus(client, pod, isRunning, patience)
    await sshd.kill()
    await t.rejects(client.create(scriptPod('true')), { code: 'PLUGIN_BACKEND_FAILED' })
    t.ok(isRunning((await statusOf(client, pod))!), 'it is as it was')
    await writeFile(go, '')
    await sshd.start()
    const over = await whenStatus(client, pod, isOver, patience)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 7)
  })
}
