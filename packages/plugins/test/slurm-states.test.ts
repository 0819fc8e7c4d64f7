import t from 'tap'
import { backendState, stateTable, type SlurmJob } from '../src/slurm/states.ts'

const job = (state: string, more: Partial<SlurmJob> = {}): SlurmJob => ({
  jobId: '7',
  state,
  reason: 'None',
  nodes: '',
  comment: 'uid',
  ...more
})

/** squeue(1), JOB STATE CODES, and sacct(1). */
const expected: Record<string, readonly [phase: string, reason?: string, message?: string]> = {
  BOOT_FAIL: ['gone', 'NodeLost', 'Slurm job 7: the node did not boot; on n1'],
  CANCELLED: ['gone', 'Cancelled', 'Slurm job 7: the job was cancelled; on n1'],
  COMPLETED: ['gone'],
  COMPLETING: ['active'],
  CONFIGURING: ['queued', 'Queued', 'Slurm job 7: the nodes of the job are getting ready'],
  DEADLINE: ['gone', 'DeadlineExceeded', 'Slurm job 7: the deadline of the job came; on n1'],
  FAILED: ['gone', 'JobFailed', 'Slurm job 7: the job ended before it could say how; on n1'],
  NODE_FAIL: ['gone', 'NodeLost', 'Slurm job 7: a node of the job failed; on n1'],
  OUT_OF_MEMORY: [
    'gone',
    'OOMKilled',
    'Slurm job 7: the job needed more memory than it had asked for; on n1'
  ],
  PENDING: ['queued', 'Queued', 'Slurm job 7: waiting in the queue'],
  PREEMPTED: ['gone', 'Preempted', 'Slurm job 7: the job made room for one of higher priority; on n1'],
  REQUEUED: ['queued', 'Queued', 'Slurm job 7: back in the queue'],
  REQUEUE_FED: ['queued', 'Queued', 'Slurm job 7: back in the queue of the federation'],
  REQUEUE_HOLD: ['queued', 'Queued', 'Slurm job 7: back in the queue, held'],
  RESIZING: ['active'],
  RESV_DEL_HOLD: ['queued', 'Queued', 'Slurm job 7: held: its reservation has been deleted'],
  REVOKED: ['gone', 'Revoked', 'Slurm job 7: another cluster of the federation took the job; on n1'],
  RUNNING: ['active'],
  SIGNALING: ['active'],
  SPECIAL_EXIT: ['queued', 'Queued', 'Slurm job 7: back in the queue, held, after a special exit code'],
  STAGE_OUT: ['active'],
  STOPPED: ['active'],
  SUSPENDED: ['active'],
  TIMEOUT: ['gone', 'DeadlineExceeded', 'Slurm job 7: the job reached its time limit; on n1']
}

t.same(Object.keys(stateTable).sort(), Object.keys(expected).sort(), 'the table has every state of Slurm')

for (const [state, [phase, reason, message]] of Object.entries(expected))
  t.test(`a job that is ${state} is ${phase}${reason ? `, ${reason}` : ''}`, async (t) => {
    t.strictSame(backendState(job(state, { nodes: 'n1' })), {
      phase,
      ...(reason ? { reason } : {}),
      ...(message ? { message } : {})
    })
  })

t.test('a job that waits says why and when it is expected to start', async (t) => {
  t.same(backendState(job('PENDING', { reason: 'Priority', startAt: Date.UTC(2026, 0, 2, 3, 4, 5) })), {
    phase: 'queued',
    reason: 'QueuedPriority',
    message:
      'Slurm job 7: waiting in the queue; Priority: jobs of higher priority are ahead; expected start 2026-01-02T03:04Z'
  })
  t.match(backendState(job('PENDING', { reason: 'QOSMaxJobsPerUserLimit' })), {
    reason: 'QueuedQOSMaxJobsPerUserLimit',
    message: /; QOSMaxJobsPerUserLimit$/
  })
  t.match(backendState(job('PENDING', { reason: 'ReqNodeNotAvail, UnavailableNodes:n4' })), {
    reason: 'QueuedReqNodeNotAvail',
    message: /ReqNodeNotAvail, UnavailableNodes:n4: nodes it needs are not available/
  })
})

t.test('who has cancelled a job is told by name, or by number where there is none', async (t) => {
  const cancelled = job('CANCELLED', { cancelledBy: '20001', endAt: 7000 })
  t.strictSame(backendState(cancelled), {
    phase: 'gone',
    reason: 'Cancelled',
    message: 'Slurm job 7: the job was cancelled by uid 20001',
    endedAt: 7000
  })
  t.match(backendState(cancelled, { cancelledBy: 'alice' }).message, /cancelled by alice$/)
})

t.test('a job that heeds the signal before its time limit has reached it', async (t) => {
  const ended = (endAt: number, state = 'COMPLETED') =>
    backendState(job(state, { startAt: 1000_000, limitMs: 600_000, endAt }), { signalSeconds: 60 }).reason
  t.equal(ended(1000_000 + 540_000), 'DeadlineExceeded')
  t.equal(ended(1000_000 + 545_000, 'FAILED'), 'DeadlineExceeded')
  t.equal(ended(1000_000 + 480_000, 'FAILED'), 'DeadlineExceeded', 'Slurm is up to a minute early')
  t.equal(ended(1000_000 + 479_000), undefined)
  t.equal(ended(1000_000 + 479_000, 'FAILED'), 'JobFailed')
  t.equal(ended(1000_000 + 545_000, 'NODE_FAIL'), 'NodeLost')
})

t.test('a state of a Slurm to come counts as active, so that no pod is lost by it', async (t) => {
  t.same(backendState(job('EXPEDITING')), { phase: 'active' })
})
