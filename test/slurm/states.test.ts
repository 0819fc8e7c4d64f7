import t from 'tap'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { userInfo } from 'node:os'
import { accountingMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { eachSlurm } from './each-slurm.ts'
import {
  isOver,
  isRunning,
  logOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus
} from './slurm-plugin.ts'

const flags = (text: string) => ({ 'slurm-job.vk.io/flags': text })

eachSlurm(t, accountingMissing, async (t, prefix) => {
  const lab = await startSlurmLab({
    prefix,
    accounting: true,
    extra: [
      'MinJobAge=2',
      'PreemptType=preempt/partition_prio',
      'PreemptMode=CANCEL',
      'PartitionName=scavenge Nodes=n2 PriorityTier=1 MaxTime=01:00:00',
      'PartitionName=urgent Nodes=n2 PriorityTier=9 PreemptMode=OFF MaxTime=01:00:00'
    ]
  })
  t.teardown(() => lab.close())
  const me = userInfo().username
  const state = async (jobId: string) =>
    (await lab.run('squeue', '-h', '-t', 'all', '-j', jobId, '-o', '%T')).trim()
  const polite = 'trap "echo bye; exit 0" TERM; echo hi; while :; do sleep 0.1; done'

  // They take the minute that is the shortest time limit: begun first, looked at last.
  const { client: slow } = await startSlurmPlugin(t, lab)
  const onTime = scriptPod(polite, {
    annotations: flags('--time=1'),
    spec: { terminationGracePeriodSeconds: 5 }
  })
  const deaf = scriptPod('trap "" TERM; while :; do sleep 0.1; done', {
    annotations: flags('--time=1'),
    spec: { terminationGracePeriodSeconds: 3600 }
  })
  await slow.create(onTime)
  await slow.create(deaf)

  t.test('a running pod whose job is cancelled says by whom', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod(polite)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(async () => (await logOf(client, pod)) === 'hi\n')
    await lab.run('scancel', PodJID)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.reason, 'Cancelled')
    t.match(over.message, new RegExp(`^Slurm job ${PodJID}: the job was cancelled by ${me};`))
    t.match(await logOf(client, pod), /^hi\n[^]*bye\n/, 'it had its grace')
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 0)
  })

  t.test('a job that has left the queue unseen keeps its end, its state and by whom', async (t) => {
    const first = await startSlurmPlugin(t, lab)
    const dir = join(first.root, '..')
    const waiting = scriptPod('true', { annotations: flags('--hold') })
    const running = scriptPod(polite)
    const ids = [(await first.client.create(waiting)).PodJID, (await first.client.create(running)).PodJID]
    await whenStatus(first.client, running, isRunning)
    await first.close()
    await lab.run('scancel', ids[0]!)
    await lab.run('scancel', '--signal=KILL', '--full', ids[1]!)
    await eventually(
      async () => {
        const left = await lab.run('squeue', '-h', '-t', 'all', '-o', '%A')
        return !ids.some((id) => left.split('\n').includes(id))
      },
      { deadlineMs: 180_000 }
    )
    const { client } = await startSlurmPlugin(t, lab, dir)
    const cancelled = await whenStatus(client, waiting, isOver)
    t.equal(cancelled.reason, 'Cancelled')
    t.match(cancelled.message, `by ${me}`)
    const killed = await whenStatus(client, running, isOver)
    t.match(killed.reason, /Cancelled|JobFailed/)
    const [, end] = (await lab.run('sacct', '-n', '-X', '-P', '-j', ids[1]!, '-o', 'JobID,End'))
      .trim()
      .split('|')
    const late = Date.parse(killed.containers[0]!.state!.terminated!.finishedAt!) - Date.parse(`${end}`)
    t.ok(late >= 0 && late < 10_000, 'when Slurm says, or what ran in it was heard of last')
  })

  t.test('a pod that makes room for a more urgent job is disrupted, and says so', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod(polite, { annotations: flags('--partition=scavenge --exclusive') })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    const urgent = (
      await lab.run(
        'sbatch',
        '--parsable',
        '-p',
        'urgent',
        '--exclusive',
        '-o',
        '/dev/null',
        '--wrap=sleep 1'
      )
    ).trim()
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.reason, 'Preempted')
    t.match(over.message, new RegExp(`^Slurm job ${PodJID}: the job made room`))
    await eventually(async () => /^(COMPLETED)?$/.test(await state(urgent)))
  })

  t.test('a job that is requeued is a restart of its pod', async (t) => {
    const { client, root } = await startSlurmPlugin(t, lab)
    const marker = join(root, '../requeued')
    const script = `echo run >>${marker}; [ $(wc -l <${marker}) = 2 ] || while :; do sleep 0.1; done`
    const pod = scriptPod(script, { annotations: flags('--requeue'), spec: { restartPolicy: 'OnFailure' } })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(() => readFile(marker, 'utf8'))
    await lab.run('scontrol', 'requeue', PodJID)
    const waits = await whenStatus(client, pod, ({ containers: [main] }) => main?.lastState?.terminated)
    t.equal(waits.containers[0]!.lastState!.terminated!.exitCode, 143)
    const over = await whenStatus(client, pod, isOver)
    t.match(over.containers[0], {
      restartCount: 1,
      state: { terminated: { exitCode: 0 } },
      lastState: { terminated: { exitCode: 143 } }
    })
    t.equal(over.reason, undefined)
    t.equal(await readFile(marker, 'utf8'), 'run\nrun\n')
  })

  t.test('a pod that is never restarted ends when its job is requeued, and is not run again', async (t) => {
    const { client, root } = await startSlurmPlugin(t, lab)
    const marker = join(root, '../never')
    const pod = scriptPod(`echo run >>${marker}; while :; do sleep 0.1; done`, {
      annotations: flags('--requeue')
    })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(() => readFile(marker, 'utf8'))
    await lab.run('scontrol', 'requeue', PodJID)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.reason, 'Requeued')
    t.match(over.message, /restartPolicy Never/)
    await eventually(async () => /^(CANCELLED|FAILED)?$/.test(await state(PodJID)))
    t.equal(await readFile(marker, 'utf8'), 'run\n')
  })

  t.test('a time limit that comes ends the pod in time and by its own signal', async (t) => {
    const over = await whenStatus(slow, onTime, isOver)
    t.equal(over.reason, 'DeadlineExceeded')
    t.match(over.message, /time limit/)
    t.match(await logOf(slow, onTime), /^hi\n[^]*bye\n/)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 0)
  })

  t.test('a pod that will not end by its time limit is ended by it', async (t) => {
    const over = await eventually(
      async () => {
        const status = await statusOf(slow, deaf)
        return status && isOver(status) && status
      },
      { deadlineMs: 180_000 }
    )
    t.equal(over.reason, 'DeadlineExceeded')
    t.match(over.message, /the job reached its time limit/)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 137)
  })
})
