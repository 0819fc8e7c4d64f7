import t, { type Test } from 'tap'
import { judge, numbers, ranges, tally } from '../src/control/jobs/tally.ts'
import { devCluster, node, podsPath, until, type Loose } from './support.ts'

const jobsPath = '/apis/batch/v1/namespaces/default/jobs'

interface Pod {
  metadata: {
    name: string
    uid: string
    annotations?: Record<string, string>
    labels: Record<string, string>
    deletionTimestamp?: string
  }
  spec: { hostname?: string; containers: { env?: unknown[] }[] }
  status: { phase: string }
}

async function bench(t: Test) {
  const { api } = await devCluster(t, { scheduler: false })
  const pods = async (job: string) =>
    (await api('GET', `${podsPath}?labelSelector=job-name%3D${job}`)).body.items as unknown as Pod[]
  return {
    api,
    pods,
    /** Makes a job; what it does not say is one container that never restarts. */
    job: (name: string, spec: object) =>
      api('POST', jobsPath, {
        metadata: { name },
        spec: {
          template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'host' }] } },
          ...spec
        }
      }),
    active: (job: string, count: number) =>
      until(async () => {
        const found = (await pods(job)).filter(
          ({ metadata, status }) => !metadata.deletionTimestamp && status.phase === 'Pending'
        )
        return found.length === count && found
      }),
    /** Plays the node: ends a pod with an exit code. */
    end: (pod: Pod, exitCode: number, conditions: object[] = []) =>
      api('PATCH', `${podsPath}/${pod.metadata.name}/status`, {
        status: {
          phase: exitCode === 0 ? 'Succeeded' : 'Failed',
          conditions,
          containerStatuses: [
            {
              name: 'main',
              image: 'host',
              imageID: '',
              ready: false,
              restartCount: 0,
              state: { terminated: { exitCode } }
            }
          ]
        }
      }),
    status: (job: string, ready: (status: Loose) => boolean) =>
      until(async () => {
        const { body } = await api('GET', `${jobsPath}/${job}`)
        return ready(body.status!) && body.status
      })
  }
}

const conditions = (status: Loose) =>
  (status.conditions ?? []) as unknown as { type: string; status: string; reason: string; message: string }[]
const has = (type: string) => (status: Loose) =>
  conditions(status).some((one) => one.type === type && one.status === 'True')
const reasonOf = (status: Loose, type: string) => conditions(status).find((one) => one.type === type)?.reason

void t.test('a job makes as many pods as it may at once, until enough have succeeded', async (t) => {
  const { job, active, end, status } = await bench(t)
  await job('j', { completions: 3, parallelism: 2 })
  for (const one of await active('j', 2)) await end(one, 0)
  const [last] = await active('j', 1)
  await end(last!, 0)
  const ended = await status('j', has('Complete'))
  t.match(ended, { succeeded: 3, completionTime: /^20/, startTime: /^20/ })
  t.notOk(ended.active)
})

void t.test('a pod that was deleted after it had ended is still counted', async (t) => {
  const { api, job, active, end, status } = await bench(t)
  await job('j', { completions: 2 })
  const [first] = await active('j', 1)
  await end(first!, 0)
  await api('DELETE', `${podsPath}/${first!.metadata.name}`)
  const [second] = await active('j', 1)
  t.match(await status('j', (one) => Number(one.succeeded) === 1), { succeeded: 1 })
  await end(second!, 0)
  await status('j', has('Complete'))
})

void t.test('a job gives up after as many failures as its back-off limit allows', async (t) => {
  const { job, active, end, status } = await bench(t)
  await job('j', { backoffLimit: 1 })
  for (let round = 0; round < 2; round++) await end((await active('j', 1))[0]!, 3)
  const ended = await status('j', has('Failed'))
  t.equal(reasonOf(ended, 'Failed'), 'BackoffLimitExceeded')
  t.equal(reasonOf(ended, 'FailureTarget'), 'BackoffLimitExceeded')
  t.match(ended, { failed: 2 })
})

void t.test('an indexed job tells each pod its index, and one bad index fails alone', async (t) => {
  const { job, active, end, status, pods } = await bench(t)
  await job('j', { completions: 4, parallelism: 4, completionMode: 'Indexed', backoffLimitPerIndex: 1 })
  const first = await active('j', 4)
  const key = 'batch.kubernetes.io/job-completion-index'
  const indexOf = (one: Pod) => one.metadata.annotations![key]!
  for (const one of first) {
    const index = indexOf(one)
    t.match(one.metadata.name, new RegExp(`^j-${index}-[a-z0-9]{5}$`))
    t.match(one, {
      metadata: { labels: { [key]: index } },
      spec: {
        hostname: `j-${index}`,
        containers: [
          {
            env: [
              {
                name: 'JOB_COMPLETION_INDEX',
                valueFrom: { fieldRef: { fieldPath: `metadata.labels['${key}']` } }
              }
            ]
          }
        ]
      }
    })
    await end(one, indexOf(one) === '2' ? 1 : 0)
  }
  const [again] = await active('j', 1)
  t.equal(indexOf(again!), '2')
  t.equal(again!.metadata.annotations!['batch.kubernetes.io/job-index-failure-count'], '1')
  await end(again!, 1)
  const ended = await status('j', has('Failed'))
  t.match(ended, { succeeded: 3, failed: 2, completedIndexes: '0,1,3', failedIndexes: '2' })
  t.equal(reasonOf(ended, 'Failed'), 'FailedIndexes')
  t.equal((await pods('j')).length, 5)
})

void t.test('a failure policy fails the job at once, or does not count what it ignores', async (t) => {
  const { job, active, end, status } = await bench(t)
  const podFailurePolicy = {
    rules: [
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
      { action: 'FailJob', onExitCodes: { containerName: 'main', operator: 'In', values: [42] } }
    ]
  }
  await job('j', { backoffLimit: 0, podFailurePolicy })
  await end((await active('j', 1))[0]!, 137, [{ type: 'DisruptionTarget', status: 'True' }])
  const [next] = await active('j', 1)
  await end(next!, 42)
  const ended = await status('j', has('Failed'))
  t.equal(reasonOf(ended, 'Failed'), 'PodFailurePolicy')
  t.match(
    conditions(ended).at(-1)!.message,
    /Container main with exit code 42 for pod .* matching FailJob rule at index 1/
  )
  t.equal(Number(ended.failed), 1)
})

void t.test('a suspended job has no pods until it is resumed', async (t) => {
  const { api, job, active, status, pods } = await bench(t)
  await job('j', { suspend: true })
  await status('j', has('Suspended'))
  t.equal((await pods('j')).length, 0)
  await api('PATCH', `${jobsPath}/j`, { spec: { suspend: false } })
  await active('j', 1)
  t.notOk(has('Suspended')(await status('j', (one) => Number(one.active) === 1)))
  await api('PATCH', `${jobsPath}/j`, { spec: { suspend: true } })
  await active('j', 0)
})

void t.test('a job past its deadline fails, and waits for its last pod to end', async (t) => {
  const { api, job, active, status } = await bench(t)
  await api('POST', '/api/v1/nodes', node('n1'))
  await job('j', {})
  const [only] = await active('j', 1)
  await api('POST', `${podsPath}/${only!.metadata.name}/binding`, { target: { kind: 'Node', name: 'n1' } })
  // only now: the pod must be on its node before the deadline can pass
  await api('PATCH', `${jobsPath}/j`, { spec: { activeDeadlineSeconds: 1 } })
  const failing = await status('j', has('FailureTarget'))
  t.equal(reasonOf(failing, 'FailureTarget'), 'DeadlineExceeded')
  t.notOk(has('Failed')(failing), 'its pod is still ending')
  await api('DELETE', `${podsPath}/${only!.metadata.name}`, { gracePeriodSeconds: 0 })
  await status('j', has('Failed'))
})

void t.test('a finished job goes when its time to live is over, and its pods with it', async (t) => {
  const { api, job, active, end, pods } = await bench(t)
  await job('j', { ttlSecondsAfterFinished: 0 })
  await end((await active('j', 1))[0]!, 0)
  await until(async () => (await api('GET', `${jobsPath}/j`)).status === 404)
  await until(async () => (await pods('j')).length === 0)
})

void t.test('a job that is deleted takes its pods along, though nobody has counted them', async (t) => {
  const { api, job, active, pods } = await bench(t)
  await job('j', { parallelism: 3, completions: 3 })
  await active('j', 3)
  await api('DELETE', `${jobsPath}/j`)
  await until(async () => (await pods('j')).length === 0)
})

void t.test('mistakes in a job are named by field', async (t) => {
  const { job } = await bench(t)
  const always = { template: { spec: { restartPolicy: 'Always', containers: [{ name: 'a', image: 'x' }] } } }
  t.match(await job('a', always), {
    status: 422,
    body: { details: { causes: [{ field: 'spec.template.spec.restartPolicy' }] } }
  })
  t.match(await job('b', { completionMode: 'Indexed', parallelism: 2 }), {
    status: 422,
    body: { details: { causes: [{ field: 'spec.completions' }] } }
  })
  t.match(await job('c', { backoffLimitPerIndex: 1 }), {
    status: 422,
    body: { details: { causes: [{ field: 'spec.backoffLimitPerIndex' }] } }
  })
})

void t.test('a deadline never passes early, whatever fraction of a second the start has lost', (t) => {
  const round = tally({ metadata: {}, spec: {} } as never, [])
  const startTime = '2026-01-01T00:00:00Z'
  const at = (ms: number) => judge({ activeDeadlineSeconds: 1, completions: 1 }, round, startTime, ms)?.reason
  const latestStart = Date.parse(startTime) + 999
  t.equal(at(latestStart + 20), undefined)
  t.equal(at(latestStart + 999), undefined)
  t.equal(at(latestStart + 1001), 'DeadlineExceeded')
  t.end()
})

void t.test('lists of indexes are written as ranges and read back', async (t) => {
  t.equal(ranges([5, 0, 1, 2]), '0-2,5')
  t.same(numbers('0-2,5'), [0, 1, 2, 5])
  t.same(numbers(ranges([])), [])
})
