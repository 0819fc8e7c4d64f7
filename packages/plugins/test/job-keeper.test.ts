import t from 'tap'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode } from '@interlink-ts/interlink-api/wire'
import type { Backend } from '../src/kit/backend.ts'
import { processBackend } from '../src/process/index.ts'
import { isOver, log, openKeeper, shellPod, startsIn, until, workDirectory } from './support-plugin.ts'

const data = (pod: ReturnType<typeof shellPod>) => decode('RetrievedPodData', pod)

/** The process backend with some of its functions in another way. */
const backendWith = (root: string, changed: (real: Backend) => Partial<Backend>): Backend => {
  const real = processBackend.create({}, { root, log })
  const base: Backend = {
    name: real.name,
    check: () => real.check(),
    render: (...args) => real.render(...args),
    submit: (job) => real.submit(job),
    find: (job) => real.find(job),
    list: (jobs) => real.list(jobs),
    cancel: (...args) => real.cancel(...args)
  }
  return { ...base, ...changed(real) }
}

t.test('creates of one UID at the same time start one job, whatever their specs say', async (t) => {
  const root = await workDirectory(t)
  const keeper = await openKeeper(t, root)
  const marker = join(root, 'marker')
  const pods = [0, 1, 2, 3].map((n) => shellPod(`echo ${n} >>${marker}`, { uid: 'same' }))
  const answers = await Promise.all(pods.map((pod) => keeper.create(data(pod))))
  t.equal(new Set(answers.map(({ PodJID }) => PodJID)).size, 1)
  await until(() => isOver(keeper.board.get('same')), 'ended')
  t.same(await keeper.create(data(pods[3]!)), answers[0])
  t.equal(await startsIn(marker), 1)
})

t.test('what a job directory holds is for its owner alone', async (t) => {
  const root = await workDirectory(t)
  const keeper = await openKeeper(t, root)
  const pod = shellPod('true', { container: { env: [{ name: 'TOKEN', value: 'secret' }] } })
  await keeper.create(data(pod))
  const dir = keeper.get(pod.pod.metadata.uid)!.dir
  const { stat } = await import('node:fs/promises')
  t.equal((await stat(dir)).mode & 0o777, 0o700)
  for (const file of ['plan.json', 'c/main/env', 'intent.json', 'job.json'])
    t.equal((await stat(join(dir, file))).mode & 0o077, 0, file)
})

t.test(
  'a backend that fails to take a pod is asked again by the next create, and asked what it has first',
  async (t) => {
    const root = await workDirectory(t)
    let failures = 2
    let finds = 0
    const backend = backendWith(root, (real) => ({
      submit: async (job) => {
        if (failures-- > 0) throw new Error('the queue is closed')
        return real.submit(job)
      },
      find: (job) => {
        finds++
        return real.find(job)
      }
    }))
    const keeper = await openKeeper(t, root, { backend })
    const pod = shellPod('true')
    for (let turn = 0; turn < 2; turn++)
      await t.rejects(keeper.create(data(pod)), {
        code: 'PLUGIN_BACKEND_FAILED',
        retry: 'yes',
        message: /queue is closed/
      })
    await keeper.create(data(pod))
    t.equal(finds, 2)
    await until(() => isOver(keeper.board.get(pod.pod.metadata.uid)), 'ended')
  }
)

t.test('a submission whose answer was lost is found, not repeated', async (t) => {
  const root = await workDirectory(t)
  const marker = join(root, 'marker')
  let first = true
  const backend = backendWith(root, (real) => ({
    submit: async (job) => {
      const answer = await real.submit(job)
      if (!first) return answer
      first = false
      throw new Error('timed out')
    }
  }))
  const keeper = await openKeeper(t, root, { backend })
  const pod = shellPod(`echo started >>${marker}; sleep 2`)
  await t.rejects(keeper.create(data(pod)), { code: 'PLUGIN_BACKEND_FAILED' })
  await keeper.create(data(pod))
  await until(() => isOver(keeper.board.get(pod.pod.metadata.uid)), 'ended')
  t.equal(await startsIn(marker), 1)
})

t.test('a deletion while the job is handed over ends it', async (t) => {
  const root = await workDirectory(t)
  let release = () => {}
  let started = false
  const handed = new Promise<void>((resolve) => (release = resolve))
  const backend = backendWith(root, (real) => ({
    submit: async (job) => {
      const answer = await real.submit(job)
      started = true
      await handed
      return answer
    }
  }))
  const keeper = await openKeeper(t, root, { backend })
  const pod = shellPod('sleep 600')
  const { uid } = pod.pod.metadata
  const creating = keeper.create(data(pod))
  await until(() => started, 'started')
  await keeper.delete(uid, 1)
  release()
  await creating
  await until(() => keeper.get(uid) === undefined, 'removed')
  t.throws(() => keeper.create(data(pod)), { code: 'PLUGIN_DELETED' })
})

t.test('a deletion before anything is on disk turns the create away', async (t) => {
  const root = await workDirectory(t)
  let release = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const backend = backendWith(root, (real) => ({
    render: async (...args) => {
      await held
      return real.render(...args)
    }
  }))
  const keeper = await openKeeper(t, root, { backend })
  const pod = shellPod('sleep 600')
  const creating = keeper.create(data(pod))
  await keeper.delete(pod.pod.metadata.uid, 1)
  release()
  await t.rejects(creating, { code: 'PLUGIN_DELETED' })
  t.same(
    (await readdir(root)).filter((name) => !name.startsWith('.')),
    []
  )
})

t.test('a cancel that fails is repeated until the backend has stopped', async (t) => {
  const root = await workDirectory(t)
  let failures = 2
  const backend = backendWith(root, (real) => ({
    cancel: async (...args) => {
      if (failures-- > 0) throw new Error('no answer')
      return real.cancel(...args)
    }
  }))
  const keeper = await openKeeper(t, root, { backend })
  const pod = shellPod('sleep 600')
  const { uid } = pod.pod.metadata
  await keeper.create(data(pod))
  await keeper.delete(uid, 1)
  await until(() => keeper.board.get(uid) === undefined, 'gone')
  t.ok(failures < 0)
})

t.test('the end of a container that nothing follows is told with the end of its pod, and why', async (t) => {
  const root = await workDirectory(t)
  const backend = backendWith(root, () => ({
    submit: () => Promise.resolve({ jobId: '1' }),
    list: (jobs) =>
      Promise.resolve(new Map(jobs.map(({ uid }) => [uid, { phase: 'active', reason: 'Seen' } as const])))
  }))
  const keeper = await openKeeper(t, root, { backend })
  const pod = shellPod('true')
  const { uid } = pod.pod.metadata
  await keeper.create(data(pod))
  const entry = keeper.get(uid)!
  const write = async (name: string, text: string) => {
    await mkdir(join(entry.dir, 'state'), { recursive: true })
    await writeFile(join(entry.dir, 'state', name), text)
  }
  await write('c.main', 'state=running\nstarted=1000\n')
  await until(() => keeper.board.get(uid)?.containers[0]?.state?.running, 'running')
  await write('c.main', 'state=terminated\nstarted=1000\nfinished=2000\nexit=143\n')
  await until(() => entry.state?.containers.get('main')?.state === 'terminated', 'read')
  t.ok(keeper.board.get(uid)?.containers[0]?.state?.running)
  await write('pod', 'finished=2000\nreason=DeadlineExceeded\nmessage=late\n')
  t.match(await until(() => isOver(keeper.board.get(uid)) && keeper.board.get(uid), 'over'), {
    reason: 'DeadlineExceeded',
    containers: [{ state: { terminated: { exitCode: 143 } } }]
  })
})

t.test('a pod whose job is gone has the address that its backend told before', async (t) => {
  const root = await workDirectory(t)
  const states = [
    { phase: 'active', podIP: '192.0.2.7' },
    { phase: 'gone', reason: 'NodeLost', message: 'gone' }
  ] as const
  let turn: 0 | 1 = 0
  const backend = backendWith(root, () => ({
    submit: () => Promise.resolve({ jobId: '1' }),
    list: (jobs) => Promise.resolve(new Map(jobs.map(({ uid }) => [uid, states[turn]])))
  }))
  const keeper = await openKeeper(t, root, { backend, lostSeconds: 0 })
  const pod = shellPod('true')
  const { uid } = pod.pod.metadata
  await keeper.create(data(pod))
  await until(() => keeper.board.get(uid)?.podIP, 'told')
  turn = 1
  const ended = await until(() => isOver(keeper.board.get(uid)) && keeper.board.get(uid), 'over')
  t.match(ended, { reason: 'NodeLost', podIP: '192.0.2.7' })
})

t.test('a job that is lost is told so, its processes are ended, and it is never started again', async (t) => {
  const root = await workDirectory(t)
  const marker = join(root, 'marker')
  const keeper = await openKeeper(t, root, { lostSeconds: 1 })
  const pod = shellPod(`echo started >>${marker}; echo $$$$ >${marker}.pid; sleep 600`)
  const { uid } = pod.pod.metadata
  await keeper.create(data(pod))
  const state = await until(() => keeper.get(uid)?.state?.supervisor, 'supervised')
  const pid = Number(await until(() => readFile(`${marker}.pid`, 'utf8').catch(() => ''), 'running'))
  process.kill(state.pid, 'SIGKILL')
  const lost = await until(() => {
    const now = keeper.board.get(uid)
    return isOver(now) && now
  }, 'lost')
  t.equal(lost.reason, 'NodeLost')
  t.match(lost.containers[0]!.state!.terminated, { exitCode: 137, reason: 'ContainerStatusUnknown' })
  await until(() => {
    try {
      return !process.kill(pid, 0)
    } catch {
      return true
    }
  }, 'its process is ended')
  await keeper.create(data(pod))
  t.equal(await startsIn(marker), 1)

  await keeper.close()
  const next = await openKeeper(t, root, { lostSeconds: 1 })
  t.same(next.board.get(uid), lost, 'the next plugin says the same, from the start')
})

t.test('a damaged job directory is left alone, and everything else is served', async (t) => {
  const root = await workDirectory(t)
  const first = await openKeeper(t, root)
  const [good, bad] = [shellPod('sleep 600'), shellPod('sleep 600')]
  for (const pod of [good, bad]) await first.create(data(pod))
  const { dir } = first.get(bad.pod.metadata.uid)!
  const jobId = first.get(bad.pod.metadata.uid)!.jobId!
  await first.close()
  const plan = await readFile(join(dir, 'plan.json'), 'utf8')
  await writeFile(join(dir, 'plan.json'), '{"version": 1, "pod')
  await mkdir(join(root, 'something-else'))

  const second = await openKeeper(t, root)
  t.same([...second.damaged.keys()], [dir])
  t.ok(second.board.get(good.pod.metadata.uid))
  await t.rejects(second.create(data(bad)), { code: 'PLUGIN_DAMAGED_JOB', retry: 'no' })
  await second.delete(bad.pod.metadata.uid, 0)
  await until(
    async () => (await readFile(join(dir, 'state/pod'), 'utf8').catch(() => '')) !== '',
    'it was asked to stop'
  )
  await second.close()

  await writeFile(join(dir, 'plan.json'), plan)
  const third = await openKeeper(t, root)
  t.equal(third.damaged.size, 0)
  t.equal(third.get(bad.pod.metadata.uid)?.jobId, jobId)
  for (const pod of [good, bad]) await third.delete(pod.pod.metadata.uid, 0)
  await until(() => third.size === 0, 'all gone')
})

t.test('a plan that was half written when the plugin died is no job, and no damage', async (t) => {
  const root = await workDirectory(t)
  const marker = join(root, 'marker')
  const pod = shellPod(`echo started >>${marker}`)
  const dir = join(root, `default-${pod.pod.metadata.uid}`)
  await mkdir(dir)
  await writeFile(join(dir, 'plan.json.0123abcd.tmp'), '{"version": 1, "pod')
  const other = join(root, 'default-other')
  await mkdir(join(other, 'volumes'), { recursive: true })
  const keeper = await openKeeper(t, root)
  t.same(
    [...keeper.damaged],
    [[other, 'plan.json and intent.json are missing']],
    'what is no such remnant is kept'
  )
  await keeper.create(data(pod))
  await until(() => isOver(keeper.board.get(pod.pod.metadata.uid)), 'ended')
  t.equal(await startsIn(marker), 1)
})

t.test('directories that even their owner cannot write to are removed with their job', async (t) => {
  const root = await workDirectory(t)
  const keeper = await openKeeper(t, root)
  const pod = shellPod('mkdir -p /data/a/b && touch /data/a/b/c && chmod -R a-w /data/a', {
    container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    spec: { volumes: [{ name: 'data', emptyDir: {} }] }
  })
  const { uid } = pod.pod.metadata
  await keeper.create(data(pod))
  await until(() => isOver(keeper.board.get(uid)), 'ended')
  await keeper.delete(uid)
  await until(() => keeper.get(uid) === undefined, 'removed')
  t.same(
    (await readdir(root)).filter((name) => name.includes(uid)),
    []
  )
})

t.test('what a backend cannot give back is tried again, and its directory stays until it is', async (t) => {
  const root = await workDirectory(t)
  let isAway = true
  let asked = 0
  let given = 0
  const backend = backendWith(root, () => ({
    release: () => {
      asked++
      if (isAway) return Promise.reject(new Error('the server is away'))
      given++
      return Promise.resolve()
    }
  }))
  const keeper = await openKeeper(t, root, { backend, deletedSeconds: 0 })
  const pod = shellPod('true', { uid: 'held' })
  await keeper.create(data(pod))
  await until(() => isOver(keeper.board.get('held')), 'ended')
  await keeper.delete('held')
  await until(() => keeper.board.get('held') === undefined, 'gone')
  await until(() => asked > 2, 'asked again')
  t.ok(keeper.get('held'), 'the pod is gone, and what it holds is not forgotten')
  isAway = false
  await until(() => keeper.get('held') === undefined, 'forgotten')
  t.equal(given, 1)
})
