import t from 'tap'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { eachSlurm } from './each-slurm.ts'
import { standInFront } from './front.ts'
import {
  isOver,
  isRunning,
  logOf,
  refOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus
} from './slurm-plugin.ts'

eachSlurm(t, slurmMissing, async (t, prefix) => {
  const lab = await startSlurmLab({ prefix })
  t.teardown(() => lab.close())
  const queue = async (format: string) => (await lab.run('squeue', '-h', '-t', 'all', '-o', format)).trim()

  t.test('a pod runs as a job: its state, exit code, log and job id', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod('echo "on $(uname -n)"; exit 3')
    const created = await client.create(pod)
    t.match(created.PodJID, /^\d+$/)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.JID, created.PodJID)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 3)
    t.match(await logOf(client, pod), /^on \S+\n$/)
    t.same(await client.create(pod), created, 'a second create finds the first')
    t.match(await queue('%j|%k'), `default-${pod.pod.metadata.name}|${pod.pod.metadata.uid}`)
  })

  t.test('a pod that waits says why; one that is held starts when it is released', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
    const { PodJID } = await client.create(pod)
    const waiting = await whenStatus(client, pod, ({ reason }) => reason)
    t.equal(waiting.reason, 'QueuedJobHeldUser')
    t.match(waiting.message, /waiting in the queue; JobHeldUser: held by its user/)
    t.match(waiting.containers[0]!.state!.waiting!.message, /held/)
    await lab.run('scontrol', 'release', PodJID)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 0)
  })

  t.test('what Slurm refuses is told in its own words, and leaves nothing', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    for (const [flags, words] of [
      ['--partition=nope', /invalid partition/i],
      ['--gres=gpu:99', /Requested node configuration is not available/],
      ['--time=soon', /Invalid --time/i]
    ] as const) {
      const pod = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': flags } })
      await t.rejects(client.create(pod), { message: words })
      t.equal(await statusOf(client, pod), undefined)
    }
  })

  t.test('a deletion ends the pod by its own signal within its grace, and the job with it', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod('trap "echo bye; exit 0" TERM; echo hi; while :; do sleep 0.1; done', {
      spec: { terminationGracePeriodSeconds: 20 }
    })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(async () => (await logOf(client, pod)) === 'hi\n')
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(async () =>
      /COMPLETED|FAILED/.test(await lab.run('squeue', '-h', '-t', 'all', '-j', PodJID, '-o', '%T'))
    )
    await client.delete(refOf(pod))
  })

  t.test('a deletion of a pod that waits takes it out of the queue', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
    const { PodJID } = await client.create(pod)
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(
      async () => (await lab.run('squeue', '-h', '-t', 'all', '-j', PodJID, '-o', '%T')) === 'CANCELLED\n'
    )
  })

  t.test('a job that somebody else cancels is reported with who and why', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
    const { PodJID } = await client.create(pod)
    await lab.run('scancel', PodJID)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.reason, 'Cancelled')
    t.match(over.message, `Slurm job ${PodJID}: the job was cancelled`)
    t.not(over.containers[0]!.state!.terminated!.exitCode, 0)
  })

  t.test('the ping says what the nodes have', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const parsed = await eventually(async () => {
      const { parsed } = await client.ping()
      return parsed?.resources && parsed
    })
    t.match(parsed.resources, {
      cpu: '16',
      memory: '32000Mi',
      accelerators: [{ resourceType: 'nvidia.com/gpu', available: '8', models: ['a100'] }]
    })
    t.strictSame(parsed.queues, [
      { name: 'debug', nodes: 2, maxSeconds: 3600, default: true },
      { name: 'short', nodes: 1, maxSeconds: 60 }
    ])
  })

  t.test('a ping is answered while Slurm says nothing', async (t) => {
    const sinfo = await standInFront(lab, 'sinfo')
    await sinfo.first('exec sleep 600')
    const { client } = await startSlurmPlugin(t, lab, undefined, sinfo.options)
    const { ok, parsed } = await client.ping()
    t.equal(ok, true)
    t.equal(parsed!.resources, undefined, 'in doubt nothing is said')
  })
})
