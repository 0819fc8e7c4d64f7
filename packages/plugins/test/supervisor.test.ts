import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { isAbandoned, STALE_BEAT_MS } from '../src/kit/jobs/job-state.ts'
import { inEachWorld, isAlone, marked, runJob, startJob, text, until } from './support-supervisor.ts'

t.jobs = 4
const everywhere = await inEachWorld(t)

const LOOP = 'while :; do sleep 0.02; done'

everywhere(
  'init containers run one after the other, sidecars beside, main containers together',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'first', kind: 'init', run: 'sleep 0.2; echo done' },
        { name: 'side', kind: 'sidecar', run: `trap 'exit 0' TERM; ${LOOP}` },
        { name: 'second', kind: 'init', run: 'sleep 0.1' },
        { name: 'deep', kind: 'sidecar', run: `trap 'sleep 0.2; exit 0' TERM; ${LOOP}` },
        // Each waits for the other, so neither ends unless both run.
        { name: 'left', run: ': >"$JOB/left"; until [ -e "$JOB/right" ]; do sleep 0.02; done' },
        { name: 'right', run: ': >"$JOB/right"; until [ -e "$JOB/left" ]; do sleep 0.02; done' }
      ]
    })
    t.equal(await job.ended, 0, world.name)
    const { containers, finished } = await job.state()
    t.ok(finished)
    const at = (name: string, what: 'startedAt' | 'finishedAt') => containers.get(name)?.[what] ?? 0
    t.ok(
      at('first', 'finishedAt') <= at('side', 'startedAt'),
      'the sidecar waits for the init container before it'
    )
    t.ok(at('side', 'startedAt') <= at('second', 'startedAt'))
    t.ok(at('second', 'finishedAt') <= at('deep', 'startedAt'))
    t.ok(at('deep', 'startedAt') <= at('left', 'startedAt'))
    const ended = Math.max(at('left', 'finishedAt'), at('right', 'finishedAt'))
    t.ok(ended <= at('deep', 'finishedAt'), 'sidecars outlive the main containers')
    t.ok(at('deep', 'finishedAt') <= at('side', 'finishedAt'), 'the last sidecar stops first')
    t.equal(containers.get('side')?.exitCode, 0)
    t.same(await marked(job.uid), [])
  }
)

everywhere(
  'a failing init container without restarts fails the pod, and what follows never starts',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'init', kind: 'init', run: 'exit 4' },
        { name: 'main', run: 'echo never' }
      ]
    })
    t.equal(await job.ended, 1)
    const { containers } = await job.state()
    t.match(containers.get('init'), { state: 'terminated', exitCode: 4, reason: 'Error' }, world.name)
    t.match(containers.get('main'), { state: 'waiting', reason: 'PodInitializing' })
    await t.rejects(job.log('main'))
  }
)

everywhere(
  'exit codes and signals are told as they were, and why a command could not be started',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'zero', run: 'exit 0' },
        { name: 'three', run: 'exit 3' },
        { name: 'killed', run: 'kill -9 $$' },
        { name: 'term', run: 'kill -TERM $$' },
        { name: 'absent', run: ['no-such-program', 'x'] },
        { name: 'nowhere', run: ['/no/such/program'] },
        { name: 'folder', run: ['/etc'] },
        { name: 'closed', run: ['/etc/passwd'] },
        { name: 'moved', run: 'exit 0', cwd: '/no/such/directory' }
      ]
    })
    t.equal(await job.ended, 1)
    const { containers } = await job.state()
    const outcome = (name: string) => {
      const { exitCode, signal, reason, message } = containers.get(name) ?? {}
      return [exitCode, signal, reason, message]
    }
    t.same(outcome('zero'), [0, undefined, 'Completed', undefined], world.name)
    t.same(outcome('three'), [3, undefined, 'Error', undefined])
    t.same(outcome('killed'), [137, 9, 'Error', undefined])
    t.same(outcome('term'), [143, 15, 'Error', undefined])
    t.same(outcome('absent'), [
      127,
      undefined,
      'StartError',
      'exec: "no-such-program": executable file not found in $PATH'
    ])
    t.same(outcome('nowhere'), [
      127,
      undefined,
      'StartError',
      'exec: "/no/such/program": no such file or directory'
    ])
    t.same(outcome('folder'), [126, undefined, 'StartError', 'exec: "/etc": is a directory'])
    t.same(outcome('closed'), [126, undefined, 'StartError', 'exec: "/etc/passwd": permission denied'])
    t.match(outcome('moved'), [126, undefined, 'StartError', /^chdir to "\/no\/such\/directory" failed/])
  }
)

everywhere('restart policies: OnFailure until it succeeds, Always with back-off, Never', async (t, world) => {
  const [onFailure, always] = await Promise.all([
    startJob(t, world, {
      restartPolicy: 'OnFailure',
      secondMs: 10,
      containers: [{ name: 'c', run: 'echo x >>"$JOB/count"; [ "$(wc -l <"$JOB/count")" -ge 4 ]' }]
    }),
    startJob(t, world, {
      restartPolicy: 'Always',
      containers: [{ name: 'c', run: 'exit 7' }]
    })
  ])
  t.equal(await onFailure.ended, 0, world.name)
  t.match((await onFailure.state()).containers.get('c'), {
    state: 'terminated',
    exitCode: 0,
    restarts: 3,
    last: { exitCode: 1, reason: 'Error' }
  })
  const waiting = await always.container('c', ({ state, restarts }) => state === 'waiting' && restarts >= 1)
  t.match(waiting, { reason: 'CrashLoopBackOff', last: { exitCode: 7, reason: 'Error' }, ready: false })
  // A kubelet writes the time as Go does; a busy machine sees the third restart or a later one first.
  const times = ['10s', '20s', '40s', '1m20s', '2m40s', '5m0s']
  const said = (restarts: number) =>
    `back-off ${times[Math.min(restarts, times.length) - 1]} restarting failed container=c pod=pod_space(${always.uid})`
  t.equal(waiting.message, said(waiting.restarts), 'the first restart is at once, the second after 10 s')
  const later = await always.container(
    'c',
    ({ state, restarts }) => state === 'waiting' && restarts > waiting.restarts
  )
  t.equal(later.message, said(later.restarts), 'and each after twice the time')
  t.ok(
    (later.last?.startedAt ?? 0) - (waiting.last?.finishedAt ?? 0) >= 10 * 2 ** (waiting.restarts - 1) * 100
  )
  await always.stop(1)
  await always.ended
  t.match((await always.state()).containers.get('c'), { state: 'terminated', exitCode: 7 })
})

everywhere(
  'TERM to the container, then KILL when the grace is over; a stop file asks for it',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'polite', run: `trap 'echo bye; exit 5' TERM; echo up; ${LOOP}` },
        { name: 'deaf', run: `trap '' TERM; echo up; ${LOOP}` }
      ]
    })
    for (const name of ['polite', 'deaf'])
      await until(async () => text(await job.log(name).catch(() => '')) === 'up\n', 'up')
    await job.stop(5)
    await job.ended
    const { containers } = await job.state()
    t.match(containers.get('polite'), { exitCode: 5, state: 'terminated' }, world.name)
    t.match(containers.get('deaf'), { exitCode: 137, signal: 9 })
    t.match(text(await job.log('polite')), /bye/)
    t.same(await marked(job.uid), [])
  }
)

everywhere(
  'TERM to the supervisor ends the pod with its own grace, and a later shorter wish shortens it',
  async (t, world) => {
    const job = await startJob(t, world, {
      graceSeconds: 6000,
      containers: [{ name: 'deaf', run: `trap '' TERM; echo up; ${LOOP}` }]
    })
    await until(async () => text(await job.log('deaf').catch(() => '')) === 'up\n', 'up')
    process.kill(job.pid, 'SIGHUP')
    process.kill(job.pid, 'SIGTERM')
    t.equal((await job.container('deaf')).state, 'running', world.name)
    await job.stop(1)
    await job.ended
    t.match((await job.state()).containers.get('deaf'), { exitCode: 137 })
  }
)

everywhere(
  'a pod that is told to end from outside says so; one that is asked to by its file does not',
  async (t, world) => {
    const start = () => startJob(t, world, { containers: [{ name: 'c', run: `echo up; ${LOOP}` }] })
    const [told, asked] = await Promise.all([start(), start()])
    for (const job of [told, asked]) await job.container('c', ({ state }) => state === 'running')
    process.kill(told.pid, 'SIGTERM')
    await asked.stop(5)
    await Promise.all([told.ended, asked.ended])
    t.match(
      (await told.state()).finished,
      { reason: 'Terminated', message: /signal from outside/ },
      world.name
    )
    t.equal((await asked.state()).finished?.reason, undefined)
  }
)

everywhere('the deadline ends the pod and is its reason', async (t, world) => {
  const job = await startJob(t, world, { deadlineSeconds: 30, containers: [{ name: 'c', run: LOOP }] })
  t.equal(await job.ended, 1)
  const { finished, containers } = await job.state()
  t.match(finished, { reason: 'DeadlineExceeded', message: /longer than the specified deadline/ }, world.name)
  t.match(containers.get('c'), { state: 'terminated', exitCode: 143 })
})

everywhere(
  'a container over its memory limit is killed and says so; the one beside it goes on',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        {
          name: 'greedy',
          limits: { memoryBytes: 50_000_000 },
          run: '/usr/bin/perl -e \'$x = "x" x 150_000_000; sleep 60\' & wait'
        },
        { name: 'modest', limits: { memoryBytes: 50_000_000 }, run: 'sleep 1; echo fine' }
      ]
    })
    await job.ended
    const { containers } = await job.state()
    t.match(containers.get('greedy'), { exitCode: 137, reason: 'OOMKilled' }, world.name)
    t.match(containers.get('modest'), { exitCode: 0 })
    t.same(await marked(job.uid), [])
  }
)

everywhere('the termination message is the file, or the end of the log after a failure', async (t, world) => {
  const terminationMessagePolicy = 'FallbackToLogsOnError'
  const job = await startJob(t, world, {
    containers: [
      { name: 'file', run: `printf 'a\\\\b\\nsecond "line" \\303\\244\\n' >"$JOB/message/file"; exit 1` },
      { name: 'log', terminationMessagePolicy, run: 'echo one; echo two; exit 1' },
      { name: 'fine', terminationMessagePolicy, run: 'echo one' },
      { name: 'long', run: 'yes | head -c 10000 >"$JOB/message/long"' }
    ]
  })
  await job.ended
  const { containers } = await job.state()
  const message = (name: string) => containers.get(name)?.message
  t.equal(message('file'), 'a\\b\nsecond "line" ä\n', world.name)
  t.equal(message('log'), 'one\ntwo\n')
  t.equal(message('fine'), undefined)
  t.equal(message('long'), 'y\n'.repeat(2048))
})

everywhere(
  'what a container leaves running is ended with it, and does not hold its log open',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [{ name: 'c', run: `setsid sh -c '${LOOP}' & sh -c '${LOOP}' & echo gone` }]
    })
    t.equal(await job.ended, 0, world.name)
    t.equal(text(await job.log('c')), 'gone\n')
    t.same(await marked(job.uid), [])
  }
)

everywhere(
  'a supervisor that is killed leaves a state that tells it, and its job is not run twice',
  async (t, world) => {
    const job = await startJob(t, world, { containers: [{ name: 'c', run: `echo up; ${LOOP}` }] })
    await until(async () => text(await job.log('c').catch(() => '')) === 'up\n', 'up')
    process.kill(job.pid, 'SIGKILL')
    t.equal(await job.ended, 'SIGKILL')
    const state = await job.state()
    t.equal(state.containers.get('c')?.state, 'running', world.name)
    t.equal(state.finished, undefined)
    t.equal(isAbandoned(state, Date.now()), false)
    t.equal(isAbandoned(state, Date.now() + STALE_BEAT_MS + 1), true)
    t.ok((await marked(job.uid)).length > 0, 'the container goes on')
    const again = await runJob(t, world, job.dir, job.uid)
    t.equal(await again.ended, 1)
    const told = await again.state()
    t.match(told.finished, { reason: 'NodeLost' })
    t.match(told.containers.get('c'), {
      state: 'terminated',
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      restarts: 0
    })
    t.same(await marked(job.uid), [])
    t.equal(text(await job.log('c')), 'up\n')
  }
)

everywhere('a second start beside a living supervisor does nothing', async (t, world) => {
  const job = await startJob(t, world, { containers: [{ name: 'c', run: `echo up; ${LOOP}` }] })
  await until(async () => text(await job.log('c').catch(() => '')) === 'up\n', 'up')
  const second = await runJob(t, world, job.dir, job.uid)
  t.equal(await second.ended, 3, world.name)
  t.equal((await job.container('c')).state, 'running')
  await job.stop(1)
  await job.ended
})

everywhere('a restarted container sees INT as a fresh process would', async (t, world) => {
  if (isAlone(world)) return t.pass('busybox cannot undo what a shell without job control does to INT')
  const job = await startJob(t, world, { containers: [{ name: 'c', run: 'kill -INT $$; echo survived' }] })
  await job.ended
  t.match((await job.state()).containers.get('c'), { exitCode: 130, signal: 2 }, world.name)
})

everywhere(
  'nothing of whoever starts the job reaches a container, nothing of a container the process list',
  async (t, world) => {
    const secret = `s3cret-${world.name.length}-${process.pid}`
    const job = await startJob(t, world, {
      env: { PLUGIN_TOKEN: secret, HOME: '/home/somebody', LANG: 'C.UTF-8' },
      containers: [
        {
          name: 'c',
          env: [{ name: 'PASSWORD', value: `pod-${secret}` }],
          run: 'env >"$JOB/env"; sleep 0.5; grep -las "pod-s3cre[t]" /proc/[0-9]*/cmdline; true'
        }
      ]
    })
    await job.ended
    const env = await readFile(join(job.dir, 'env'), 'utf8')
    t.notMatch(env, new RegExp(`^PLUGIN_TOKEN|=${secret}$|INTERLINK_S`, 'm'), world.name)
    t.match(env, new RegExp(`^PASSWORD=pod-${secret}$`, 'm'))
    t.match(env, /^HOME=\/home\/somebody$/m)
    t.match(env, /^HOSTNAME=a-host$/m)
    t.match(env, /^PATH=\/usr\/local\/sbin:\/usr\/local\/bin:\/usr\/sbin:\/usr\/bin:\/sbin:\/bin$/m)
    t.equal(text(await job.log('c')), '')
  }
)

everywhere(
  'an ephemeral container joins a job that runs, once, and is no part of its end',
  async (t, world) => {
    const job = await startJob(t, world, {
      restartPolicy: 'OnFailure',
      containers: [
        { name: 'side', kind: 'sidecar', run: LOOP },
        { name: 'main', run: 'until [ -e "$JOB/go" ]; do sleep 0.02; done' }
      ]
    })
    await job.container('main', ({ state }) => state === 'running')
    await job.add({ name: 'short', run: 'echo looked; exit 3' })
    await job.add({ name: 'long', run: `trap 'exit 9' TERM; echo here; ${LOOP}` })
    const short = await job.container('short', ({ state }) => state === 'terminated')
    t.match(short, { exitCode: 3, reason: 'Error', restarts: 0 }, world.name)
    t.equal(text(await job.log('short')), 'looked\n')
    await until(async () => text(await job.log('long').catch(() => '')) === 'here\n', 'here')
    t.match((await job.state()).containers.get('main'), { state: 'running' })
    await writeFile(join(job.dir, 'go'), '')
    t.equal(await job.ended, 0, 'what it ended with is not of the pod')
    const { containers, finished } = await job.state()
    t.ok(finished)
    t.match(containers.get('short'), { exitCode: 3, restarts: 0 }, 'it is never restarted')
    t.match(containers.get('long'), { exitCode: 9, restarts: 0 }, 'it ends with the pod')
    t.same(await marked(job.uid), [])
  }
)

everywhere('an ephemeral container runs beside an init container that does not end', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      { name: 'init', kind: 'init', run: LOOP },
      { name: 'main', run: 'echo never' }
    ]
  })
  await job.container('init', ({ state }) => state === 'running')
  await job.add({ name: 'look', run: LOOP })
  await job.container('look', ({ state }) => state === 'running')
  t.match((await job.state()).containers.get('main'), { state: 'waiting' }, world.name)
  await job.stop(0)
  await job.ended
  t.match((await job.state()).containers.get('look'), { state: 'terminated', signal: Number })
  t.same(await marked(job.uid), [])
})

everywhere('what containers use is measured when somebody asks, and only then', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      { name: 'busy', run: 'while :; do :; done' },
      { name: 'idle', run: 'sleep 1000' }
    ]
  })
  await job.container('idle', ({ state }) => state === 'running')
  const measured = async () => {
    await writeFile(join(job.dir, 'measure'), '')
    const text = await readFile(join(job.dir, 'usage'), 'utf8').catch(() => '')
    return new Map(text.split('\n').map((line) => [line.split(' ')[0]!, line.split(' ').map(Number)]))
  }
  await t.rejects(readFile(join(job.dir, 'usage')), world.name)
  await until(async () => ((await measured()).get('busy')?.[1] ?? 0) >= 200, 'busy')
  const [, cpuMs = 0, bytes = 0] = (await measured()).get('idle') ?? []
  t.ok(cpuMs < 200)
  t.ok(bytes > 10_000)
  await job.stop(0)
  await job.ended
})

t.test('a job looks up in time, whatever the steps of its clock', async (t) => {
  const world = { name: 'dash', sh: 'dash', path: process.env.PATH! }
  await Promise.all(
    [101, 107, 113].map(async (secondMs) => {
      const job = await startJob(t, world, { secondMs, containers: [{ name: 'main', run: 'sleep 1000' }] })
      await job.container('main', ({ state }) => state === 'running')
      const { supervisor } = await job.state()
      // A beat each ten seconds, of which each has many looks.
      await until(async () => (await job.state()).supervisor!.beatAt > supervisor!.beatAt + 2000, 'beats')
      await job.stop(0)
      await job.ended
    })
  )
  t.pass()
})
