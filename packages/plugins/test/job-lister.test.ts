import t from 'tap'
import { setTimeout as delay } from 'node:timers/promises'
import { JobLister } from '../src/kit/jobs/job-lister.ts'

interface Told {
  questions: number
  looks: number
}

function listerOf(t: { teardown(end: () => void): void }, isWanted = false, askMs = 0) {
  const told: Told = { questions: 0, looks: 0 }
  const lister = new JobLister({
    ask: async () => {
      told.questions++
      await delay(askMs)
      return 'still'
    },
    look: async () => (told.looks++, isWanted),
    shortestMs: 5,
    longestMs: 600_000
  })
  t.teardown(() => lister.close())
  return { lister, told }
}

/** Until it is so; a test that waits in vain is ended by its runner. */
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await delay(5)
}

t.test('what a backend knows by itself is taken without a question for all', async (t) => {
  const { lister, told } = listerOf(t)
  await lister.start()
  await until(() => told.questions === 2)
  lister.wake()
  lister.wake()
  await until(() => told.looks === 2)
  t.ok(told.questions <= 4, 'the pauses between questions grow as before')
})

t.test('it is taken once the question that is under way has been answered', async (t) => {
  const { lister, told } = listerOf(t, false, 50)
  const asked = lister.start()
  lister.wake()
  t.same(told, { questions: 1, looks: 0 })
  await asked
  t.equal(told.looks, 1)
})

t.test('where that is not all, the question comes at once', async (t) => {
  const { lister, told } = listerOf(t, true)
  await lister.start()
  for (let turn = 0; turn < 5; turn++) {
    const before = told.questions
    lister.wake()
    await until(() => told.questions > before)
  }
  t.ok(told.looks >= 5)
})
