/**
 * Why HTCondor holds a job, and what that is to its pod. "HoldReasonCode", Job ClassAd attributes of the HTCondor
 * manual; the numbers of HTCondor 23.9, `CONDOR_HOLD_CODE` of condor_holdcodes.h.
 */

/** What becomes of a held job: its pod waits, fails, or the job is given back to the queue. */
export type HoldOutcome = 'wait' | 'fail' | 'release'

export interface HoldCode {
  readonly name: string
  /** In words, ahead of the pool's own. */
  readonly message: string
  readonly outcome: HoldOutcome
  /** Of a pod that fails, in Kubernetes' words. */
  readonly reason?: string
}

const waits = (name: string, message: string): HoldCode => ({ name, message, outcome: 'wait' })
const fails = (name: string, message: string, reason = 'JobHeld'): HoldCode => ({
  name,
  message,
  outcome: 'fail',
  reason
})
/** What may well go better on another machine, or a moment later. */
const again = (name: string, message: string): HoldCode => ({ name, message, outcome: 'release' })

export const holdCodes: Readonly<Record<number, HoldCode>> = {
  1: waits('UserRequest', 'held by a user or an administrator'),
  2: fails('GlobusGramError', 'the grid middleware failed'),
  3: waits('JobPolicy', 'held by a policy of the job or its site'),
  4: waits('CorruptedCredential', 'a credential of the job cannot be used'),
  5: fails('JobPolicyUndefined', 'a policy of the job came out undefined'),
  6: fails('FailedToCreateProcess', 'the job could not be started', 'StartError'),
  7: fails('UnableToOpenOutput', 'the output of the job could not be opened'),
  8: fails('UnableToOpenInput', 'the input of the job could not be opened'),
  9: fails('UnableToOpenOutputStream', 'the output of the job could not be streamed'),
  10: fails('UnableToOpenInputStream', 'the input of the job could not be streamed'),
  11: again('InvalidTransferAck', 'a transfer of files broke off'),
  12: again('TransferOutputError', 'files of the job could not be brought back'),
  13: again('TransferInputError', 'files of the job could not be brought to its machine'),
  14: fails('IwdError', 'the directory of the job cannot be reached'),
  15: waits('SubmittedOnHold', 'submitted on hold'),
  16: waits('SpoolingInput', 'the files of the job are on their way to the queue'),
  17: again('JobShadowMismatch', 'the programs of the pool do not fit each other'),
  18: again('InvalidTransferGoAhead', 'a transfer of files was not let begin'),
  19: fails('HookPrepareJobFailure', 'the machine could not prepare the job'),
  20: fails('MissedDeferredExecutionTime', 'the time to start the job has passed', 'DeadlineExceeded'),
  21: waits('StartdHeldJob', 'held by the policy of its machine'),
  22: fails('UnableToInitUserLog', 'the event log of the job could not be opened'),
  23: waits('FailedToAccessUserAccount', 'the account of the job cannot be used'),
  24: waits('NoCompatibleShadow', 'the queue has no program for such a job'),
  25: fails('InvalidCronSettings', 'the times of the job make no sense'),
  26: waits('SystemPolicy', 'held by the policy of the pool'),
  27: waits('SystemPolicyUndefined', 'a policy of the pool came out undefined'),
  28: again('GlexecChownSandboxToUser', 'the files of the job could not be given to its account'),
  29: again('PrivsepChownSandboxToUser', 'the files of the job could not be given to its account'),
  30: again('GlexecChownSandboxToCondor', 'the files of the job could not be taken back'),
  31: again('PrivsepChownSandboxToCondor', 'the files of the job could not be taken back'),
  32: fails('MaxTransferInputSizeExceeded', 'the files of the job are larger than the pool takes'),
  33: fails('MaxTransferOutputSizeExceeded', 'what the job has made is larger than the pool takes back'),
  34: fails('JobOutOfResources', 'the job needed more than it had asked for', 'OOMKilled'),
  35: fails('InvalidDockerImage', 'the image cannot be used', 'ErrImagePull'),
  36: fails('FailedToCheckpoint', 'the job could not save its state'),
  37: fails('EC2UserError', 'the cloud refused the job'),
  38: again('EC2InternalError', 'the cloud failed'),
  39: waits('EC2AdminError', 'the cloud needs its administrator'),
  40: again('EC2ConnectionProblem', 'the cloud could not be reached'),
  41: again('EC2ServerError', 'the cloud failed'),
  42: fails('EC2InstancePotentiallyLostError', 'the machine of the job is lost', 'NodeLost'),
  43: fails('PreScriptFailed', 'the script before the job failed'),
  44: fails('PostScriptFailed', 'the script after the job failed'),
  45: again('SingularityTestFailed', 'the machine could not run a container'),
  46: fails('JobDurationExceeded', 'the job came to its time limit', 'DeadlineExceeded'),
  47: fails('JobExecuteExceeded', 'the job came to its time limit', 'DeadlineExceeded'),
  48: fails('HookShadowPrepareJobFailure', 'the queue could not prepare the job')
}

/** Of JobOutOfResources: 102 is memory. */
const diskSubcode = 104

/** A code that is not known waits, as nothing is lost by it. */
export function holdMeaning(code: number | undefined, subcode: number | undefined, reason: string): HoldCode {
  const meaning = (code === undefined ? undefined : holdCodes[code]) ?? waits('Held', 'held')
  if (code === 34 && (subcode === diskSubcode || /\bdisk\b/i.test(reason)))
    return { ...meaning, message: 'the job needed more disk than it had asked for', reason: 'Evicted' }
  // A policy is of any kind: only its words tell. Subcode 137 is what sites give where memory is meant.
  if ((code === 3 || code === 21 || code === 26) && isMemory(subcode, reason))
    return { ...meaning, ...outOfMemory, name: meaning.name }
  return meaning
}

const outOfMemory = holdCodes[34]!

const isMemory = (subcode: number | undefined, reason: string): boolean =>
  subcode === 137 ||
  /\b(memory|rss|resident set)\b.*\b(exceed|over|above|limit|request|more than)/i.test(reason)
