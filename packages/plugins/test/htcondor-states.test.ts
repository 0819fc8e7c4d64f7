import t from 'tap'
import { holdCodes } from '../src/htcondor/hold-codes.ts'
import {
  addressIn,
  backendState,
  holdOutcome,
  jobStatus,
  type CondorJob,
  type HoldPolicy
} from '../src/htcondor/states.ts'

const policy: HoldPolicy = { outcomes: {}, releases: 3 }
const job = (more: Partial<CondorJob> = {}): CondorJob => ({
  jobId: '7',
  status: jobStatus.idle,
  uid: 'u',
  mark: 'm',
  starts: 0,
  ...more
})
const held = (holdCode: number, more: Partial<CondorJob> = {}) =>
  job({
    status: jobStatus.held,
    holdCode,
    holdSubcode: 0,
    holdReason: 'words of the pool',
    starts: 1,
    ...more
  })

t.test('each state of a job is one of its pod', async (t) => {
  const said = (more: Partial<CondorJob>) => backendState(job({ host: 'slot1@n1', ...more }), policy)
  t.same(said({}), { phase: 'queued', reason: 'Queued', message: 'HTCondor job 7: waiting in the queue' })
  t.same(said({ starts: 2, vacateReason: 'preempted', rejectReason: 'no match found' }), {
    phase: 'queued',
    reason: 'Queued',
    message: 'HTCondor job 7: back in the queue (preempted); no match found'
  })
  t.same(said({ status: jobStatus.running }), { phase: 'active' })
  t.same(said({ status: jobStatus.running, address: '192.0.2.7' }), { phase: 'active', podIP: '192.0.2.7' })
  t.notMatch(said({ status: jobStatus.idle, address: '192.0.2.7' }), { podIP: '192.0.2.7' })
  t.match(said({ status: jobStatus.running, isTransferring: true }), {
    phase: 'queued',
    reason: 'QueuedTransferring',
    message: 'HTCondor job 7: its files are on their way on slot1@n1'
  })
  t.same(said({ status: jobStatus.transferringOutput }), { phase: 'active' })
  t.match(said({ status: jobStatus.suspended }), { phase: 'active', message: /suspended on slot1@n1/ })
  t.match(said({ status: jobStatus.removed }), { phase: 'active', message: /being removed/ })
  t.match(said({ status: jobStatus.removed, hasLeft: true, removeReason: 'by admin', sinceAt: 5000 }), {
    phase: 'gone',
    reason: 'Cancelled',
    message: 'HTCondor job 7: it was removed: by admin',
    endedAt: 5000
  })
  t.same(said({ status: jobStatus.completed, exitCode: 0 }), { phase: 'gone' })
  t.match(said({ status: jobStatus.completed, exitCode: 3 }), {
    phase: 'gone',
    reason: 'JobFailed',
    message: /with 3 /
  })
  t.match(said({ status: jobStatus.completed, exitSignal: 9 }), { reason: 'JobFailed', message: /signal 9/ })
  t.same(said({ status: 99 }), { phase: 'active' })
})

/** Outcome, and the reason of the pod where it fails; "HoldReasonCode" of the HTCondor manual, by its number. */
const expected: Record<number, readonly [outcome: string, reason: string]> = {
  1: ['wait', 'HeldUserRequest'],
  2: ['fail', 'JobHeld'],
  3: ['wait', 'HeldJobPolicy'],
  4: ['wait', 'HeldCorruptedCredential'],
  5: ['fail', 'JobHeld'],
  6: ['fail', 'StartError'],
  7: ['fail', 'JobHeld'],
  8: ['fail', 'JobHeld'],
  9: ['fail', 'JobHeld'],
  10: ['fail', 'JobHeld'],
  11: ['release', 'HeldInvalidTransferAck'],
  12: ['release', 'HeldTransferOutputError'],
  13: ['release', 'HeldTransferInputError'],
  14: ['fail', 'JobHeld'],
  15: ['wait', 'HeldSubmittedOnHold'],
  16: ['wait', 'HeldSpoolingInput'],
  17: ['release', 'HeldJobShadowMismatch'],
  18: ['release', 'HeldInvalidTransferGoAhead'],
  19: ['fail', 'JobHeld'],
  20: ['fail', 'DeadlineExceeded'],
  21: ['wait', 'HeldStartdHeldJob'],
  22: ['fail', 'JobHeld'],
  23: ['wait', 'HeldFailedToAccessUserAccount'],
  24: ['wait', 'HeldNoCompatibleShadow'],
  25: ['fail', 'JobHeld'],
  26: ['wait', 'HeldSystemPolicy'],
  27: ['wait', 'HeldSystemPolicyUndefined'],
  28: ['release', 'HeldGlexecChownSandboxToUser'],
  29: ['release', 'HeldPrivsepChownSandboxToUser'],
  30: ['release', 'HeldGlexecChownSandboxToCondor'],
  31: ['release', 'HeldPrivsepChownSandboxToCondor'],
  32: ['fail', 'JobHeld'],
  33: ['fail', 'JobHeld'],
  34: ['fail', 'OOMKilled'],
  35: ['fail', 'ErrImagePull'],
  36: ['fail', 'JobHeld'],
  37: ['fail', 'JobHeld'],
  38: ['release', 'HeldEC2InternalError'],
  39: ['wait', 'HeldEC2AdminError'],
  40: ['release', 'HeldEC2ConnectionProblem'],
  41: ['release', 'HeldEC2ServerError'],
  42: ['fail', 'NodeLost'],
  43: ['fail', 'JobHeld'],
  44: ['fail', 'JobHeld'],
  45: ['release', 'HeldSingularityTestFailed'],
  46: ['fail', 'DeadlineExceeded'],
  47: ['fail', 'DeadlineExceeded'],
  48: ['fail', 'JobHeld']
}

t.same(Object.keys(holdCodes), Object.keys(expected), 'every hold code has its row')
for (const [code, [outcome, reason]] of Object.entries(expected))
  t.test(`hold code ${code} (${holdCodes[Number(code)]!.name}) is to ${outcome}, as ${reason}`, async (t) => {
    const one = held(Number(code))
    t.equal(holdOutcome(one, policy), outcome)
    const state = backendState(one, policy)
    t.equal(state.phase, outcome === 'fail' ? 'gone' : 'queued')
    t.equal(state.reason, reason)
    t.match(state.message, new RegExp(`^HTCondor job 7: .* \\(hold code ${code}\\.0\\); words of the pool$`))
  })

t.test('a hold whose code nobody knows waits', async (t) => {
  t.match(backendState(held(4711), policy), { phase: 'queued', reason: 'Held' })
  t.match(backendState(job({ status: jobStatus.held }), policy), { phase: 'queued', reason: 'Held' })
})

t.test('a policy that means memory is OOMKilled: by subcode 137, or by its words', async (t) => {
  for (const code of [3, 21, 26]) {
    t.match(backendState(held(code, { holdSubcode: 137 }), policy), { phase: 'gone', reason: 'OOMKilled' })
    t.match(backendState(held(code, { holdReason: 'memory usage exceeded request_memory' }), policy), {
      phase: 'gone',
      reason: 'OOMKilled'
    })
    t.match(backendState(held(code, { holdReason: 'the user has no more memory of it' }), policy), {
      phase: 'queued'
    })
  }
})

t.test('what ran out may be the disk', async (t) => {
  t.match(backendState(held(34, { holdSubcode: 104 }), policy), {
    phase: 'gone',
    reason: 'Evicted',
    message: /disk/
  })
  t.match(backendState(held(34, { holdSubcode: 102 }), policy), { phase: 'gone', reason: 'OOMKilled' })
})

t.test('a site says itself what becomes of a hold, by code, code and subcode, or name', async (t) => {
  const own = (outcomes: HoldPolicy['outcomes'], more: Partial<CondorJob> = {}) =>
    holdOutcome(held(26, more), { ...policy, outcomes })
  t.equal(own({ 26: 'fail' }), 'fail')
  t.equal(own({ SystemPolicy: 'release' }), 'release')
  t.equal(own({ '26.3': 'fail', 26: 'release' }), 'release')
  t.equal(own({ '26.3': 'fail', 26: 'release' }, { holdSubcode: 3 }), 'fail')
})

t.test('a job is released so often, and waits then', async (t) => {
  t.equal(holdOutcome(held(13, { starts: 3 }), policy), 'release')
  t.equal(holdOutcome(held(13, { starts: 4 }), policy), 'wait')
})

t.test('the address of a machine is read out of the name of its daemon', async (t) => {
  for (const [name, address] of [
    ['<192.0.2.7:9618?addrs=192.0.2.7-9618&alias=n1>', '192.0.2.7'],
    ['Job executing on host: <[2001:db8::7]:9618?addrs=x>', '2001:db8::7'],
    ['slot1@n1', undefined],
    [undefined, undefined]
  ] as const)
    t.equal(addressIn(name), address)
})
