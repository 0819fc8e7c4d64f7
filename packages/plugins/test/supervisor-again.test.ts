import t from 'tap'
import type { Test } from 'tap'
import {
  inEachWorld,
  runJob,
  startJob,
  text,
  until,
  type JobInput,
  type World
} from './support-supervisor.ts'

const everywhere = await inEachWorld(t)

/** A job whose supervisor is killed in the middle, and what becomes of it when its batch system runs it again. */
async function runAgain(t: Test, world: World, input: JobInput) {
  const first = await startJob(t, world, input)
  await until(async () => text(await first.log('main').catch(() => '')) === 'up\n', 'up')
  await first.container('short', ({ state }) => state === 'terminated')
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  return runJob(t, world, first.dir, first.uid, { args: ['again'] })
}

/** The first run waits for ever, the second ends. */
const twice =
  'if [ -e "$JOB/once" ]; then echo up; sleep 1; exit 0; fi; : >"$JOB/once"; echo up; while :; do sleep 0.1; done'
const short = { name: 'short', run: 'echo once' }

everywhere(
  'a job that is run again restarts its pod: count, last state, a log of its own',
  async (t, world) => {
    const job = await runAgain(t, world, {
      restartPolicy: 'OnFailure',
      containers: [
        { name: 'prepare', kind: 'init', run: 'echo prepared' },
        short,
        { name: 'main', run: twice }
      ]
    })
    let over = false
    const told = new Set<number | undefined>()
    const ended = job.ended.finally(() => (over = true))
    while (!over) {
      const { supervisor, containers } = await job.state()
      if (supervisor?.pid === job.pid) told.add(containers.get('main')?.restarts)
    }
    t.equal(await ended, 0, world.name)
    t.same(
      [...told].filter((count) => count !== 1),
      [],
      'what the first run has told of its containers is never told as of the second'
    )
    const { containers, finished } = await job.state()
    t.equal(finished?.reason, undefined)
    t.match(containers.get('main'), {
      state: 'terminated',
      exitCode: 0,
      restarts: 1,
      last: { exitCode: 137, reason: 'ContainerStatusUnknown', message: /put back into the queue/ }
    })
    const { startedAt, finishedAt } = containers.get('main')!.last!
    t.ok(startedAt! <= finishedAt!)
    t.match(containers.get('prepare'), { exitCode: 0, restarts: 1, last: { exitCode: 0 } })
    t.match(containers.get('short'), { exitCode: 0, restarts: 0 }, 'what has succeeded is not run again')
    // A shell may say on its stderr that what it ran was killed.
    t.match(text(await job.log('main', 0)), /^up\n/)
    t.equal(text(await job.log('main', 1)), 'up\n')
  }
)

everywhere('a pod that is never restarted is not run again, and says why', async (t, world) => {
  const job = await runAgain(t, world, {
    restartPolicy: 'Never',
    containers: [short, { name: 'main', run: twice }]
  })
  t.equal(await job.ended, 1, world.name)
  const { containers, finished } = await job.state()
  t.match(finished, { reason: 'Requeued', message: /restartPolicy Never/ })
  t.match(containers.get('main'), { exitCode: 137, reason: 'ContainerStatusUnknown', restarts: 0 })
  t.equal(text(await job.log('main')), 'up\n')
})

everywhere('a job that had finished is not run again, whatever its policy', async (t, world) => {
  const first = await startJob(t, world, {
    restartPolicy: 'OnFailure',
    containers: [{ name: 'main', run: 'echo up' }]
  })
  await first.ended
  const again = await runJob(t, world, first.dir, first.uid, { args: ['again'] })
  t.equal(await again.ended, 0, world.name)
  t.match((await again.state()).containers.get('main'), { exitCode: 0, restarts: 0 })
  t.equal(text(await again.log('main')), 'up\n')
})

everywhere('an ephemeral container is not started again with its job', async (t, world) => {
  const first = await startJob(t, world, {
    restartPolicy: 'OnFailure',
    containers: [{ name: 'main', run: twice }]
  })
  await until(async () => text(await first.log('main').catch(() => '')) === 'up\n', 'up')
  await first.add({ name: 'over', run: 'exit 4' })
  await first.add({ name: 'debug', run: 'echo here; exec sleep 600' })
  await first.container('over', ({ state }) => state === 'terminated')
  await until(async () => text(await first.log('debug').catch(() => '')) === 'here\n', 'here')
  process.kill(first.pid, 'SIGKILL')
  await first.ended
  const job = await runJob(t, world, first.dir, first.uid, { args: ['again'] })
  t.equal(await job.ended, 0, world.name)
  const { containers } = await job.state()
  t.match(containers.get('over'), { exitCode: 4, restarts: 0 })
  t.match(containers.get('debug'), { exitCode: 137, reason: 'ContainerStatusUnknown', restarts: 0 })
  t.equal(text(await job.log('debug')), 'here\n')
})
