import t from 'tap'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { standInFront } from './front.ts'
import { isOver, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'

if (requireReal(t, slurmMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const squeue = await standInFront(lab, 'squeue')
  const sacct = await standInFront(lab, 'sacct')
  const shortest = 500
  const longest = 3000

  t.test(
    'one squeue asks for all jobs, seldom while nothing changes, soon when something does',
    async (t) => {
      const begun = Date.now()
      const { client } = await startSlurmPlugin(t, lab, undefined, squeue.options, {
        listSeconds: shortest / 1000,
        idleListSeconds: longest / 1000
      })
      const pods = Array.from({ length: 12 }, () =>
        scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
      )
      const jobs = await Promise.all(pods.map((pod) => client.create(pod)))
      for (const pod of pods) await whenStatus(client, pod, ({ reason }) => reason === 'QueuedJobHeldUser')
      const calls = await squeue.calls()
      t.ok(calls.length <= 2 + (Date.now() - begun) / shortest, 'not one for each of them')

      const gaps = async () => {
        const all = await squeue.calls()
        return all.slice(1).map((at, index) => at - all[index]!)
      }
      const restsAfter = (call: number) =>
        eventually(async () => (await gaps()).slice(call).some((gap) => gap >= longest))
      await restsAfter(0)
      await lab.run('scontrol', 'release', jobs[0]!.PodJID)
      await whenStatus(client, pods[0]!, isOver)
      t.same(await sacct.calls(), [], 'no job has left the queue')
      await restsAfter((await squeue.calls()).length)
      const before = (await squeue.calls()).length
      await client.delete({
        metadata: pods[1]!.pod.metadata as { name: string; namespace: string; uid: string }
      })
      await eventually(async () => (await gaps()).slice(before - 1).some((gap) => gap < longest))
    }
  )
}
