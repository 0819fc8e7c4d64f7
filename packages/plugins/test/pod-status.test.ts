import t from 'tap'
import type { ContainerRecord } from '../src/kit/jobs/job-state.ts'
import { podStatus, type JobFacts } from '../src/kit/jobs/pod-status.ts'

const outline = {
  uid: '7',
  name: 'pod',
  namespace: 'default',
  nodeName: 'node',
  graceSeconds: 30,
  restartPolicy: 'Never' as const,
  containers: [{ name: 'main', kind: 'main' as const, image: 'host' }],
  notices: []
}
const backend = { phase: 'queued', reason: 'Queued', message: 'waiting in the queue' } as const
const facts = (main: ContainerRecord, more: Partial<JobFacts> = {}): JobFacts => ({
  createdAt: 0,
  backend,
  state: { containers: new Map([['main', main]]), images: new Map(), notices: [] },
  ...more
})
const waiting: ContainerRecord = { state: 'waiting', restarts: 0, ready: false, up: false }
const done: ContainerRecord = {
  ...waiting,
  state: 'terminated',
  exitCode: 0,
  startedAt: 1000,
  finishedAt: 2000
}

t.test('a job that waits in a queue says so', async (t) => {
  t.match(podStatus(outline, facts(waiting)), { reason: 'Queued', message: 'waiting in the queue' })
})

t.test('a job that ran between two looks at the queue is not said to wait in it', async (t) => {
  for (const record of [{ ...waiting, state: 'running', startedAt: 1000 } as const, done]) {
    const { reason, message } = podStatus(outline, facts(record))
    t.same({ reason, message }, { reason: undefined, message: undefined })
  }
})

t.test('a job that went back to the queue says so, whatever it was doing before', async (t) => {
  t.match(podStatus(outline, facts(done, { requeued: true })), {
    reason: 'Queued',
    containers: [{ state: { waiting: {} }, lastState: { terminated: { exitCode: 0 } } }]
  })
})

t.test(
  'what is ended with a job that had too little memory was OOMKilled, what failed before was not',
  async (t) => {
    const supervisor = { pid: 1, startedAt: 500, beatAt: 1900, toldAt: 1500 }
    const killed = { ...done, reason: 'Error', exitCode: 143, signal: 15 }
    const reasonOf = (main: ContainerRecord, reason = 'OOMKilled') => {
      const { state } = facts(main)
      const told = { backend: { phase: 'gone', reason } as const, state: { ...state!, supervisor } }
      return podStatus(outline, facts(main, told)).containers[0]?.state?.terminated?.reason
    }
    t.equal(reasonOf(killed), 'OOMKilled')
    t.equal(reasonOf(killed, 'DeadlineExceeded'), 'Error')
    t.equal(reasonOf({ ...killed, finishedAt: 1400 }), 'Error')
    t.equal(reasonOf({ ...done, reason: 'Error', exitCode: 1 }), 'Error')
    t.equal(reasonOf({ ...killed, reason: 'StartError' }), 'StartError')
  }
)
