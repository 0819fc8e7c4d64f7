import t from 'tap'
import { readdir } from 'node:fs/promises'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { eventually } from '../support/eventually.ts'
import { isOver, isRunning, logOf, refOf, scriptPod, statusOf, whenStatus } from '../support/plugin.ts'
import { requireReal } from '../support/require-real.ts'
import { startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const options = { files: 'transfer', querySeconds: 1 }
const minutes = 240_000

const queue = (lab: HtcondorLab, ...attributes: string[]) => {
  const { schedd } = lab.options
  return lab.run('condor_q', ...(schedd ? ['-name', schedd] : []), '-allusers', '-af', ...attributes)
}

if (requireReal(t, htcondorUnprepared())) {
  for (const remoteSchedd of [false, true])
    t.test(
      remoteSchedd ? 'spooled to a queue elsewhere' : 'carried from where it is submitted',
      async (t) => {
        const lab = await startHtcondorLab({ prefix, nodes: 1, sharedFileSystem: false, remoteSchedd })
        t.teardown(() => lab.close())
        const { client, root } = await startHtcondorPlugin(t, lab, undefined, options)

        await t.test('a job sees what its pod has, and its log, end and exit code come back', async (t) => {
          const pod = scriptPod('echo "$WORDS"; echo bad >&2; sleep 3; exit 3', {
            container: { env: [{ name: 'WORDS', value: 'it\'s "$(Cluster)" $$(Name)\nqueue 5' }] }
          })
          const createdAt = Date.now()
          await client.create(pod)
          const status = await whenStatus(client, pod, isOver, minutes)
          const { terminated } = status.containers[0]!.state!
          t.match(terminated, { exitCode: 3, reason: 'Error' })
          const [began, ended] = [terminated!.startedAt, terminated!.finishedAt].map((time) =>
            Date.parse(time!)
          )
          t.ok(began! >= createdAt - 1000 && ended! >= began! + 2000 && ended! <= Date.now(), 'when it ran')
          const log = await logOf(client, pod)
          t.match(log, 'it\'s "$(Cluster)" $$(Name)\nqueue 5\n')
          t.match(log, /^bad$/m)
          await client.delete(refOf(pod))
          await eventually(async () => (await statusOf(client, pod)) === undefined)
          await eventually(async () => (await queue(lab, 'ClusterId')) === '')
        })

        await t.test('of pods that go together each has its own files', async (t) => {
          const pods = Array.from({ length: 5 }, (_, index) => scriptPod(`echo pod ${index}`))
          await Promise.all(pods.map((pod) => client.create(pod)))
          for (const [index, pod] of pods.entries()) {
            await whenStatus(client, pod, isOver, minutes)
            t.equal(await logOf(client, pod), `pod ${index}\n`)
            await client.delete(refOf(pod))
          }
        })

        await t.test('a job that is deleted ends by itself, and nothing of it is left', async () => {
          const pod = scriptPod('trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done', {
            spec: { terminationGracePeriodSeconds: 20 }
          })
          await client.create(pod)
          await whenStatus(client, pod, isRunning, minutes)
          await eventually(async () => /^up$/m.test(await logOf(client, pod)), { deadlineMs: minutes })
          await client.delete(refOf(pod))
          await eventually(async () => (await queue(lab, 'ClusterId')) === '', { deadlineMs: minutes })
          await eventually(async () => (await readdir(root)).every((name) => name.startsWith('.')))
        })
      }
    )

  t.test('a pod that is evicted is restarted, and what it was before is its last state', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1, sharedFileSystem: false })
    t.teardown(() => lab.close())
    const { client } = await startHtcondorPlugin(t, lab, undefined, options)
    const pod = scriptPod('echo up; while :; do sleep 0.1; done', {
      spec: { restartPolicy: 'Always', terminationGracePeriodSeconds: 5 }
    })
    const { PodJID: id } = await client.create(pod)
    await whenStatus(client, pod, isRunning, minutes)
    await lab.run('condor_vacate_job', id)
    const { containers } = await whenStatus(
      client,
      pod,
      (status) => isRunning(status) && status.containers[0]?.restartCount === 1,
      minutes
    )
    t.ok(containers[0]?.lastState?.terminated)
    await client.delete(refOf(pod))
  })
}
