import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { stateOf, type PodStatus } from '../support/backend-cluster.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { startHtcondorCluster } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const waitsFor = 'while :; do sleep 0.1; done'
const eats = "exec perl -e 'my $x = q(x) x 600_000_000; sleep 600'"

if (requireReal(t, htcondorUnprepared() ?? controlPlaneUnavailable())) {
  const [lab, control] = await Promise.all([
    startHtcondorLab({ prefix }),
    startControlPlane({ scheduler: false })
  ])
  t.teardown(() => control.stop())
  t.teardown(() => lab.close())
  const node = (name: string, extra: readonly string[], more: object = {}) =>
    startHtcondorCluster(
      t,
      { ...lab.options, querySeconds: 1, submit: { extra: [...extra] }, ...more },
      name,
      control
    )
  const { apply, until, kubectl } = await node('plain', [])
  await Promise.all([
    node('brief', ['allowed_job_duration = 3']),
    node('carried', ['should_transfer_files = YES', 'transfer_input_files = /no/such/file']),
    node('held', [
      'periodic_hold = JobStatus == 2 && NumShadowStarts == 1',
      'periodic_hold_reason = "the site rests"',
      'periodic_hold_subcode = 42'
    ]),
    node('removed', ['periodic_remove = JobStatus == 2']),
    node('strict', ['periodic_hold = JobStatus == 2'], {
      holds: { outcomes: { JobPolicy: 'fail' } }
    })
  ])

  const pod = (name: string, nodeName: string, script: string, more: Pod = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations: more.annotations },
    spec: {
      restartPolicy: more.restartPolicy ?? 'Never',
      terminationGracePeriodSeconds: 1,
      nodeName,
      containers: [
        {
          name: 'main',
          image: 'host',
          command: ['/bin/sh', '-c', script],
          ...(more.memory ? { resources: { limits: { memory: more.memory } } } : {})
        }
      ]
    }
  })
  const isHeld = ({ phase, reason }: PodStatus) => phase === 'Pending' && reason?.startsWith('Held')
  const jobOf = (name: string, ...attributes: string[]) =>
    lab.run('condor_q', '-constraint', `InterLinkPodName == "${name}"`, '-af', ...attributes)

  const rested = join(lab.dir, 'rested')
  // What takes its time is begun together.
  await Promise.all([
    apply(pod('hungry', 'plain', eats, { memory: '64Mi' })),
    apply(pod('greedy', 'plain', eats)),
    apply(pod('long', 'brief', waitsFor)),
    apply(pod('unfed', 'carried', 'true')),
    apply(
      pod('resting', 'held', `until [ -e ${rested} ]; do sleep 0.1; done`, { restartPolicy: 'OnFailure' })
    ),
    apply(pod('taken', 'removed', waitsFor)),
    apply(pod('barred', 'strict', waitsFor)),
    apply(
      pod('nowhere', 'plain', 'true', {
        annotations: { 'htcondor-job.vk.io/requirements': 'NoSuchThing == "7"' }
      })
    )
  ])

  t.test('a job that is held for its memory is a pod that was OOMKilled', async (t) => {
    const limited = await until('hungry', ({ phase }) => phase === 'Failed')
    const memory = { exitCode: Number, reason: 'OOMKilled' }
    t.match(
      stateOf(limited, 'terminated'),
      memory,
      'by the limit of its container, or of its job where the pool is sooner'
    )
    const status = await until('greedy', ({ phase }) => phase === 'Failed')
    t.equal(status.reason, 'OOMKilled', 'by the policy of the pool')
    t.match(stateOf(status, 'terminated'), memory)
    t.match(status.message, /memory usage exceeded request_memory/)
    await eventually(async () => (await jobOf('greedy', 'ClusterId')) === '')
  })

  t.test('a job at its time limit is a pod past its deadline', async (t) => {
    const status = await until('long', ({ phase }) => phase === 'Failed')
    t.equal(status.reason, 'DeadlineExceeded')
    t.match(status.message, /hold code 46/)
  })

  t.test('a transfer that fails is tried again, and then waits with the words of the pool', async (t) => {
    const status = await until('unfed', isHeld)
    t.match(status, { reason: 'HeldTransferInputError', message: /\/no\/such\/file/ })
    t.equal(stateOf(status, 'waiting')?.message, status.message)
    await eventually(async () => Number((await jobOf('unfed', 'NumShadowStarts')).trim()) > 3, {
      deadlineMs: 180_000
    })
    await eventually(async () => (await jobOf('unfed', 'JobStatus')).trim() === '5')
  })

  t.test('a requirement that no machine fulfils leaves the pod waiting', async (t) => {
    const inQueue = (seen: PodStatus) => /waiting in the queue/.test(stateOf(seen, 'waiting')?.message ?? '')
    t.equal((await until('nowhere', inQueue)).phase, 'Pending')
    t.match(await jobOf('nowhere', 'JobStatus'), '1')
  })

  t.test('a requirement that is no expression is refused by its field', async (t) => {
    await apply(
      pod('wrong', 'plain', 'true', { annotations: { 'htcondor-job.vk.io/requirements': 'Memory > (' } })
    )
    const status = await until('wrong', ({ phase }) => phase === 'Failed')
    t.match(status.message, /htcondor-job\.vk\.io\/requirements/)
  })

  t.test('a job that a policy holds is a pod that waits, and goes on when it is released', async (t) => {
    const status = await until('resting', isHeld)
    t.match(status, { reason: 'HeldJobPolicy', message: /the site rests/ })
    await writeFile(rested, '')
    await lab.run('condor_release', '-constraint', 'InterLinkPodName == "resting"')
    await until('resting', ({ phase }) => phase === 'Succeeded')
  })

  t.test('where a site says so, such a pod fails, and its job goes', async (t) => {
    const status = await until('barred', ({ phase }) => phase === 'Failed')
    t.match(status.message, /hold code 3/)
    await eventually(async () => (await jobOf('barred', 'ClusterId')) === '')
  })

  t.test('a job that a policy removes is a pod that was cancelled, and says why', async (t) => {
    const status = await until('taken', ({ phase }) => phase === 'Failed')
    t.equal(status.reason, 'Cancelled')
    t.match(status.message, /it was removed: .*PeriodicRemove/)
  })

  t.test('an administrator holds a waiting job, and releases it', async (t) => {
    const requirements = { 'htcondor-job.vk.io/requirements': 'InterLinkGate =?= true' }
    await apply(pod('kept', 'plain', 'true', { annotations: requirements }))
    await eventually(async () => (await jobOf('kept', 'JobStatus')).trim() === '1')
    const constraint = ['-constraint', 'InterLinkPodName == "kept"']
    await lab.run('condor_hold', '-reason', 'a close look: $(x) at it', ...constraint)
    const status = await until('kept', isHeld)
    t.match(status, { reason: 'HeldUserRequest', message: /a close look: \$\(x\) at it/ })
    await lab.run('condor_qedit', ...constraint, 'Requirements', 'true')
    await lab.run('condor_release', ...constraint)
    await until('kept', ({ phase }) => phase === 'Succeeded')
  })

  t.test('a job that is evicted is begun again, with its last state and the disruption', async (t) => {
    const marker = join(lab.dir, 'evicted')
    await apply(
      pod('moved', 'plain', `echo run >>${marker}; [ $(wc -l <${marker}) = 2 ] || ${waitsFor}`, {
        restartPolicy: 'OnFailure'
      })
    )
    await until('moved', (seen) => stateOf(seen, 'running'))
    await eventually(() => readFile(marker, 'utf8'))
    await lab.run('condor_vacate_job', '-constraint', 'InterLinkPodName == "moved"')
    const status = await until('moved', ({ phase }) => phase === 'Succeeded')
    t.match(status.containerStatuses?.[0], {
      restartCount: 1,
      lastState: { terminated: { exitCode: 143 } }
    })
    t.equal(await readFile(marker, 'utf8'), 'run\nrun\n')
  })

  t.test('an evicted pod that must not restart has failed, disrupted', async (t) => {
    await apply(pod('lost', 'plain', waitsFor))
    await until('lost', (seen) => stateOf(seen, 'running'))
    await lab.run('condor_vacate_job', '-constraint', 'InterLinkPodName == "lost"')
    const status = await until('lost', ({ phase }) => phase === 'Failed')
    t.match(
      status.conditions?.find(({ type }) => type === 'DisruptionTarget'),
      { status: 'True' }
    )
    await eventually(async () => (await jobOf('lost', 'ClusterId')) === '')
  })

  t.test('kubectl delete removes a held job', async (t) => {
    const deleted = await kubectl(['delete', 'pod', 'unfed', 'nowhere', '--timeout=180s'])
    t.equal(deleted.code, 0, deleted.stderr)
    await eventually(async () => (await jobOf('unfed', 'ClusterId')) === '')
  })
}

interface Pod {
  readonly annotations?: Record<string, string>
  readonly restartPolicy?: string
  readonly memory?: string
}
