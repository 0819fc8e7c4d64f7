import t from 'tap'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { onPath } from '../support/on-path.ts'
import { requireReal } from '../support/require-real.ts'
import { startSlurmCluster, stateOf, type PodStatus } from './slurm-cluster.ts'

const forever = 'while :; do sleep 0.1; done'
const missing = onPath('apptainer') ? undefined : 'Apptainer is missing'

t.test('what Slurm does with a job is told by kubectl, on a real control plane', async (t) => {
  if (!requireReal(t, slurmMissing() ?? controlPlaneUnavailable() ?? missing)) return
  const [lab, cluster] = await Promise.all([
    startSlurmLab({
      nodes: 2,
      extra: [
        'PreemptType=preempt/partition_prio',
        'PreemptMode=CANCEL',
        'PartitionName=scavenge Nodes=n2 PriorityTier=1 MaxTime=01:00:00',
        'PartitionName=urgent Nodes=n2 PriorityTier=9 PreemptMode=OFF MaxTime=01:00:00'
      ]
    }),
    startControlPlane({ scheduler: false })
  ])
  t.teardown(() => cluster.stop())
  t.teardown(() => lab.close())
  const options = {
    conf: lab.env.SLURM_CONF,
    batch: { preamble: 'export APPTAINER_NOHTTPS=1' },
    containers: { tool: onPath('apptainer')! },
    images: { cache: join(lab.dir, 'images') }
  }
  const { apply, until, events, kubectl } = await startSlurmCluster(t, options, 'interlink', cluster)
  const run = (name: string, script: string, flags: string, spec: object = {}, image = 'host') =>
    apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, annotations: { 'slurm-job.vk.io/flags': flags } },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        nodeName: 'interlink',
        containers: [{ name: 'main', image, command: ['/bin/sh', '-c', script] }],
        ...spec
      }
    })
  const condition = ({ conditions = [] }: PodStatus, type: string) =>
    conditions.find((one) => one.type === type)
  const toldOf = (pod: string, pattern: RegExp) =>
    eventually(async () => (await events(pod)).some((line) => pattern.test(line)))
  const isRunning = (status: PodStatus) => stateOf(status, 'running')

  // All at once: each waits for something of its own, and what is seen for a moment is looked at first.
  await run('queued', 'true', '--hold --partition=debug')
  await run('failed', forever, '--nodelist=n1')
  await run('preempted', forever, '--partition=scavenge --exclusive')
  await run('again', 'exit 3', '--nodelist=n1', { restartPolicy: 'OnFailure' })
  await run('image', 'true', '--nodelist=n1', {}, 'docker://127.0.0.1:1/no/registry:1')

  t.test(
    'an image that cannot be pulled is told with the words of the registry, then backs off',
    async (t) => {
      await toldOf('image', /^Normal Pulling Pulling image "docker:\/\/127\.0\.0\.1:1/)
      for (const reason of ['ErrImagePull', 'ImagePullBackOff'])
        t.match(await until('image', (now) => stateOf(now, 'waiting')?.reason === reason), {
          phase: 'Pending'
        })
      await toldOf('image', /^Warning Failed Error: .*127\.0\.0\.1:1/)
      await toldOf('image', /^Normal BackOff Back-off pulling image/)
    }
  )

  t.test('a job that waits says why, and that it has not started', async (t) => {
    const waiting = await until('queued', ({ reason }) => reason === 'QueuedJobHeldUser')
    t.equal(waiting.phase, 'Pending')
    t.match(condition(waiting, 'PodReadyToStartContainers'), {
      status: 'False',
      reason: 'QueuedJobHeldUser',
      message: /Slurm job \d+: waiting in the queue; JobHeldUser: held by its user/
    })
    const job = (await lab.run('squeue', '-h', '-n', 'default-queued', '-o', '%A')).trim()
    await lab.run('scontrol', 'release', job)
    const over = await until('queued', ({ phase }) => phase === 'Succeeded')
    t.match(condition(over, 'PodReadyToStartContainers'), { status: /True|False/, reason: undefined })
  })

  t.test('a container that is restarted backs off, and the event says so', async (t) => {
    const status = await until('again', (now) => stateOf(now, 'waiting')?.reason === 'CrashLoopBackOff')
    t.equal(status.phase, 'Running')
    await toldOf('again', /^Warning BackOff Back-off restarting failed container main in pod again_default/)
  })

  t.test('a job that makes room for another is disrupted by its site', async (t) => {
    await until('preempted', isRunning)
    await lab.run('sbatch', '-p', 'urgent', '--exclusive', '-o', '/dev/null', '--wrap=sleep 1')
    const over = await until('preempted', ({ phase }) => phase === 'Failed')
    t.equal(over.reason, 'Preempted')
    t.match(condition(over, 'DisruptionTarget'), {
      status: 'True',
      reason: 'TerminationByKubelet',
      message: /the job made room for one of higher priority/
    })
  })

  t.test('so is one whose node fails', async (t) => {
    await until('failed', isRunning)
    await lab.run('scontrol', 'update', 'nodename=n1', 'state=down', 'reason=test')
    const over = await until('failed', ({ phase }) => phase === 'Failed')
    t.equal(over.reason, 'NodeLost')
    t.match(condition(over, 'DisruptionTarget'), { status: 'True', message: /a node of the job failed/ })
  })

  await t.test('all of it goes with the pods', async (t) => {
    const { code, stderr } = await kubectl(['delete', 'pods', '--all', '--timeout=180s'])
    t.equal(code, 0, stderr)
  })
})
