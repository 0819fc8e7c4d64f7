import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { PlannedAction, PlannedProbe } from '../src/kit/plan/plan.ts'
import { inEachWorld, isAlone, marked, startJob, text, until, type RunningJob } from './support-supervisor.ts'

t.jobs = 4
const everywhere = await inEachWorld(t)

const LOOP = 'while :; do sleep 0.02; done'
const POLITE = `trap 'echo term; exit 0' TERM; echo up; ${LOOP}`
const DEAF = `trap '' TERM; echo up; ${LOOP}`
const sh = (script: string): PlannedAction => ({ type: 'exec', command: ['/bin/sh', '-c', script] })
const failing: PlannedProbe = {
  action: sh('exit 1'),
  initialDelaySeconds: 0,
  timeoutSeconds: 100,
  periodSeconds: 1,
  successThreshold: 1,
  failureThreshold: 1
}

const allUp = async (job: RunningJob, ...names: string[]) => {
  for (const name of names)
    await until(async () => text(await job.log(name).catch(() => '')).startsWith('up\n'), `${name} to be up`)
}

const goDuration = (seconds: number) =>
  seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`

everywhere('the back-off begins anew after a run of 10 min, and never exceeds 5 min', async (t, world) => {
  const [recovered, hopeless] = await Promise.all([
    startJob(t, world, {
      restartPolicy: 'Always',
      secondMs: 5,
      containers: [
        { name: 'c', run: 'echo x >>"$JOB/n"; [ "$(wc -l <"$JOB/n")" -ne 3 ] || sleep 3.2; exit 1' }
      ]
    }),
    startJob(t, world, {
      restartPolicy: 'Always',
      secondMs: 6,
      containers: [{ name: 'c', run: ['/bin/false'] }]
    })
  ])
  const { message, restarts } = await recovered.container(
    'c',
    ({ state, restarts }) => state === 'waiting' && restarts >= 3
  )
  // A slow machine may look only several attempts later.
  const delay = Math.min(300, 10 * 2 ** (restarts - 3))
  t.match(message, `back-off ${goDuration(delay)} `, `${world.name}: two attempts before, one after`)
  const last = await hopeless.container('c', ({ state, restarts }) => state === 'waiting' && restarts >= 7)
  t.match(last.message, 'back-off 5m0s restarting failed container=c', world.name)
  await Promise.all([recovered.stop(0), hopeless.stop(0)])
  await Promise.all([recovered.ended, hopeless.ended])
})

everywhere(
  "a sidecar's preStop runs beside the main containers, its signal comes after them",
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'side', kind: 'sidecar', run: POLITE, preStop: sh(': >"$JOB/hooked"') },
        {
          name: 'main',
          run: `trap 'until [ -e "$JOB/hooked" ]; do sleep 0.02; done; exit 0' TERM; echo up; ${LOOP}`
        }
      ]
    })
    await allUp(job, 'side', 'main')
    await job.stop(100)
    t.equal(await job.ended, 0, world.name)
    const { containers } = await job.state()
    t.match(containers.get('side'), { exitCode: 0 })
    t.ok((containers.get('main')?.finishedAt ?? 0) <= (containers.get('side')?.finishedAt ?? 0))
    t.match(text(await job.log('side')), /^term$/m)
  }
)

everywhere(
  'a sidecar has 2 s to end even when the main containers have used up the grace',
  async (t, world) => {
    const job = await startJob(t, world, {
      secondMs: 1000,
      containers: [
        { name: 'first', kind: 'sidecar', run: POLITE },
        { name: 'second', kind: 'sidecar', run: DEAF },
        { name: 'main', run: DEAF }
      ]
    })
    await allUp(job, 'first', 'second', 'main')
    await job.stop(1)
    t.equal(await job.ended, 1, world.name)
    const { containers } = await job.state()
    t.match(containers.get('main'), { exitCode: 137 })
    t.match(containers.get('second'), { exitCode: 137 })
    t.match(containers.get('first'), { exitCode: 0 })
  }
)

everywhere(
  'a grace of 0 kills, without hooks and without waiting, for the reason that is given',
  async (t, world) => {
    const preStop: PlannedAction = { type: 'sleep', seconds: 10_000 }
    const job = await startJob(t, world, {
      graceSeconds: 10_000,
      containers: [
        { name: 'side', kind: 'sidecar', run: DEAF, preStop },
        { name: 'main', run: DEAF, preStop }
      ]
    })
    await allUp(job, 'side', 'main')
    await job.stop(0, 'Evicted', 'It took a "lot" of $room')
    await job.ended
    const { containers, finished } = await job.state()
    t.match(finished, { reason: 'Evicted', message: 'It took a "lot" of $room' }, world.name)
    for (const record of containers.values()) t.match(record, { exitCode: 137, signal: 9 }, world.name)
    t.same(await marked(job.uid), [])
  }
)

everywhere('preStop also runs for a container whose postStart has failed', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      { name: 'c', run: POLITE, postStart: sh('exit 1'), preStop: sh('cat "$JOB/state/c.c" >"$JOB/before"') }
    ]
  })
  await job.ended
  t.match(await readFile(join(job.dir, 'before'), 'utf8').catch(() => 'no preStop'), /^state=/, world.name)
  t.match((await job.state()).containers.get('c'), { state: 'terminated' })
})

everywhere('a preStop that outlives its container is ended with it', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      {
        name: 'c',
        run: 'echo up; until [ -e "$JOB/go" ]; do sleep 0.02; done; exit 3',
        preStop: sh(': >"$JOB/go"; sleep 1000')
      }
    ]
  })
  await allUp(job, 'c')
  await job.stop(10_000)
  t.equal(await job.ended, 1)
  t.match((await job.state()).containers.get('c'), { exitCode: 3, signal: undefined }, world.name)
  t.same(await marked(job.uid), [])
})

everywhere('who is not restarted after a failed probe is not told to be', async (t, world) => {
  const containers = [{ name: 'c', run: LOOP, probes: { liveness: failing } }]
  const [never, always] = await Promise.all([
    startJob(t, world, { restartPolicy: 'Never', containers }),
    startJob(t, world, { restartPolicy: 'Always', containers })
  ])
  const killing = ({ notice }: { notice?: { reason: string } | undefined }) => notice?.reason === 'Killing'
  t.match(
    (await always.container('c', killing)).notice?.message,
    'failed liveness probe, will be restarted: '
  )
  await never.ended
  const { notice, restarts } = await never.container('c')
  t.match(notice?.message, 'Container c failed liveness probe: Liveness probe failed', world.name)
  t.equal(restarts, 0)
  await always.stop(0)
  await always.ended
})

everywhere(
  'memory is counted over all processes of a container, also those that left its tree',
  async (t, world) => {
    const hog = "/usr/bin/perl -e '$x = q(x) x 40_000_000; sleep 600'"
    const limits = { memoryBytes: 100_000_000 }
    const job = await startJob(t, world, {
      secondMs: 200,
      containers: [
        { name: 'sum', limits, run: `${hog} & ${hog} & ${hog} & wait` },
        { name: 'strays', limits, run: `for i in 1 2 3; do (setsid ${hog} &); done; sleep 600` },
        { name: 'less', limits, run: `${hog} & echo up; until [ -e "$JOB/go" ]; do sleep 0.02; done` }
      ]
    })
    for (const name of ['sum', 'strays'])
      t.match(
        await job.container(name, ({ state }) => state === 'terminated'),
        { exitCode: 137, reason: 'OOMKilled', message: 'memory limit of 100000000 bytes exceeded' },
        `${world.name}: ${name}`
      )
    await writeFile(join(job.dir, 'go'), '')
    await job.ended
    t.match((await job.state()).containers.get('less'), { exitCode: 0 })
    t.same(await marked(job.uid), [])
  }
)

everywhere('the end of the log as a message: 80 lines or 2048 bytes, long lines whole', async (t, world) => {
  const terminationMessagePolicy = 'FallbackToLogsOnError'
  const job = await startJob(t, world, {
    containers: [
      { name: 'lines', terminationMessagePolicy, run: 'seq 1 100; exit 1' },
      {
        name: 'bytes',
        terminationMessagePolicy,
        run: 'for i in $(seq 1 99); do printf "%0100d\\n" $i; done; exit 1'
      },
      { name: 'parts', terminationMessagePolicy, run: 'printf "%016500d" 7; echo end; exit 1' },
      { name: 'open', terminationMessagePolicy, run: 'printf "cut \\377 off"; exit 1' },
      {
        name: 'memory',
        terminationMessagePolicy,
        limits: { memoryBytes: 50_000_000 },
        run: "echo why; /usr/bin/perl -e '$x = q(x) x 150_000_000; sleep 600'"
      }
    ]
  })
  await job.ended
  const { containers } = await job.state()
  const message = (name: string) => containers.get(name)?.message
  t.equal(message('lines'), Array.from({ length: 80 }, (_, index) => `${index + 21}\n`).join(''), world.name)
  t.equal(message('bytes')?.length, 2048)
  t.match(message('bytes'), /^0+79\n(0{98}\d\d\n){20}$/)
  t.match(message('parts'), /^0{2043}7end\n$/)
  t.match(message('open'), /^cut \ufffd off\n?$/)
  t.match(containers.get('memory'), { reason: 'OOMKilled', message: 'why\n' })
})

everywhere('signals of a crash are told; who asks for no stdin is at its end', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      { name: 'segv', run: 'kill -SEGV $$' },
      { name: 'abort', run: 'kill -ABRT $$' },
      { name: 'pipe', run: isAlone(world) ? 'exit 141' : 'yes | head -n 1 >/dev/null; kill -PIPE $$' },
      { name: 'high', run: 'exit 255' },
      { name: 'asks', run: 'if read -r answer; then echo "got $answer"; else echo end; fi' }
    ]
  })
  t.equal(await job.ended, 1)
  const { containers } = await job.state()
  t.match(containers.get('segv'), { exitCode: 139, signal: 11, reason: 'Error' }, world.name)
  t.match(containers.get('abort'), { exitCode: 134, signal: 6 })
  t.match(containers.get('pipe'), { exitCode: 141, signal: 13 })
  t.match(containers.get('high'), { exitCode: 255, signal: undefined })
  t.equal(text(await job.log('asks')), 'end\n')
})
