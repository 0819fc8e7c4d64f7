import t from 'tap'
import { createWorkQueue } from '../src/kube/work-queue.ts'
import { turnedClock } from './support/turned-clock.ts'

const quiet = () => {}

t.test('a key that is added while it waits is worked on once, one that is worked on once more', async (t) => {
  const { clock, settle } = turnedClock()
  const done: string[] = []
  let release = () => {}
  const gate = new Promise<void>((resolve) => (release = resolve))
  const queue = createWorkQueue({
    concurrency: 1,
    clock,
    onError: quiet,
    work: async (key) => {
      done.push(key)
      if (done.length === 1) await gate
    }
  })
  queue.add('a')
  queue.add('b')
  queue.add('b')
  queue.add('a')
  queue.add('a')
  t.strictSame(queue.stats(), { depth: 1, active: 1, delayed: 0 })
  release()
  await settle()
  await settle()
  t.strictSame(done, ['a', 'b', 'a'])
})

t.test('no more keys are worked on at once than allowed, and never one key twice', async (t) => {
  const { clock, settle } = turnedClock()
  const active = new Set<string>()
  let most = 0
  let twice = false
  const queue = createWorkQueue({
    concurrency: 3,
    clock,
    onError: quiet,
    work: async (key) => {
      twice ||= active.has(key)
      active.add(key)
      most = Math.max(most, active.size)
      await settle()
      active.delete(key)
    }
  })
  for (let i = 0; i < 50; i++) queue.add(`k${i % 10}`)
  while (queue.stats().depth + queue.stats().active > 0) await settle()
  t.equal(most, 3)
  t.notOk(twice)
})

t.test('a key that fails comes back after growing waits of at most five minutes, for ever', async (t) => {
  const { clock, turn } = turnedClock()
  const waits: number[] = []
  let calls = 0
  const queue = createWorkQueue({
    concurrency: 1,
    clock,
    work: async () => {
      calls++
      throw new Error('no')
    },
    onError: (_key, _error, failures, ms) => {
      waits[failures - 1] = ms
    }
  })
  queue.add('a')
  await turn(24 * 3600 * 1000)
  t.ok(calls > 290, `tried ${calls} times in a day`)
  t.ok(Math.max(...waits) <= 300_000)
  for (const [n, ms] of waits.slice(0, 8).entries()) {
    t.ok(ms >= 250 * 2 ** n && ms <= 500 * 2 ** n, `wait ${n} is ${ms} ms`)
  }
})

t.test('a success ends the back-off, and one failing key does not hold up another', async (t) => {
  const { clock, turn, settle } = turnedClock()
  let broken = true
  const done: string[] = []
  const failures: number[] = []
  const queue = createWorkQueue({
    concurrency: 1,
    clock,
    work: async (key) => {
      if (key === 'bad' && broken) throw new Error('no')
      done.push(key)
    },
    onError: (_key, _error, count) => failures.push(count)
  })
  queue.add('bad')
  for (let i = 0; i < 5; i++) queue.add(`good${i}`)
  await settle()
  await settle()
  t.equal(done.length, 5)
  await turn(10_000)
  broken = false
  await turn(60_000)
  t.equal(done.at(-1), 'bad')
  broken = true
  failures.length = 0
  queue.add('bad')
  await settle()
  t.strictSame(failures, [1])
})

t.test(
  'a delayed key is worked on in its time, sooner when it is added, and one timer serves all',
  async (t) => {
    const turned = turnedClock()
    const done: [string, number][] = []
    const start = turned.clock.now()
    const queue = createWorkQueue({
      concurrency: 4,
      clock: turned.clock,
      onError: quiet,
      work: async (key) => {
        done.push([key, turned.clock.now() - start])
      }
    })
    for (let i = 1000; i > 0; i--) queue.addAfter(`k${i}`, i * 10)
    queue.addAfter('k1', 60_000)
    t.equal(turned.scheduled, 1)
    queue.add('k1000')
    await turned.turn(10_000)
    t.strictSame(done[0], ['k1000', 0])
    t.strictSame(
      done.slice(1).map(([, at]) => at),
      Array.from({ length: 999 }, (_, i) => (i + 1) * 10)
    )
    t.equal(queue.stats().delayed, 0)
  }
)

t.test('work may ask to be looked at again, and stopping waits for what runs', async (t) => {
  const { clock, turn, settle } = turnedClock()
  let calls = 0
  let release = () => {}
  const queue = createWorkQueue({
    concurrency: 1,
    clock,
    onError: quiet,
    work: async () => {
      if (++calls === 2) await new Promise<void>((resolve) => (release = resolve))
      return { afterMs: 1000 }
    }
  })
  queue.add('a')
  await turn(1500)
  t.equal(calls, 2)
  let stopped = false
  const stop = queue.stop().then(() => (stopped = true))
  await settle()
  t.notOk(stopped)
  release()
  await stop
  await turn(10_000)
  t.equal(calls, 2)
})
