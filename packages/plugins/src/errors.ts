import { InterlinkError, type ErrorDetails, type Retry } from '@interlink-ts/interlink-api/errors'
import type { Refusal } from './kit/plan/plan.ts'

interface ErrorEntry {
  readonly status: number
  /** `{name}` stands for a detail of that name. */
  readonly message: string
  readonly retry: Retry
}

/** Every error that a plugin of this package answers with, beside those of the wire (`IL_…`); `LAB_…` are of `interlink lab`. */
export const errorTable = {
  PLUGIN_REFUSED: { status: 422, message: 'the pod cannot run here: {reasons}', retry: 'no' },
  PLUGIN_INVALID_POD: { status: 400, message: '{field}: {reason}', retry: 'no' },
  PLUGIN_DELETED: {
    status: 409,
    message: 'pod {uid} has been deleted; it is not started any more',
    retry: 'no'
  },
  PLUGIN_UNKNOWN_POD: { status: 404, message: 'pod {uid} is not known to this plugin', retry: 'no' },
  PLUGIN_UNKNOWN_CONTAINER: {
    status: 404,
    message: 'container "{container}" not found in pod "{pod}"',
    retry: 'no'
  },
  PLUGIN_NOT_STARTED: {
    status: 400,
    message: 'container "{container}" in pod "{pod}" is waiting to start: {reason}',
    retry: 'yes'
  },
  PLUGIN_NO_PREVIOUS_LOG: {
    status: 400,
    message: 'previous terminated container "{container}" in pod "{pod}" not found',
    retry: 'no'
  },
  PLUGIN_BACKEND_FAILED: {
    status: 502,
    message: 'backend {backend} could not {action}: {reason}',
    retry: 'yes'
  },
  PLUGIN_BACKEND_REFUSED: { status: 422, message: '{backend} refuses the job: {reason}', retry: 'no' },
  PLUGIN_NUL: {
    status: 422,
    message: 'a value holds a NUL character, which no argument or environment variable can; remove it',
    retry: 'no'
  },
  PLUGIN_DAMAGED_JOB: {
    status: 500,
    message: 'the job directory {dir} is damaged: {reason}; nothing is started in its place',
    retry: 'no'
  },
  PLUGIN_NO_SPACE: { status: 507, message: 'the job directory cannot be written: {reason}', retry: 'yes' },
  PLUGIN_UNAUTHENTICATED: {
    status: 401,
    message: 'authentication failed: send the bearer token of this plugin',
    retry: 'no'
  },
  PLUGIN_INSECURE: {
    status: 500,
    message:
      'listen: {listen} is open to others; set auth.tokenFile, or listen on 127.0.0.1 or a unix socket',
    retry: 'no'
  },
  PLUGIN_LISTEN: { status: 500, message: 'listen: {listen}: {reason}', retry: 'no' },
  PLUGIN_ROOT: { status: 500, message: 'root: {root}: {reason}', retry: 'no' },
  PLUGIN_ROOT_IN_USE: {
    status: 500,
    message: 'root: {root} is in use by the plugin with process id {pid}; give this one a root of its own',
    retry: 'no'
  },
  PLUGIN_TOO_LONG: {
    status: 400,
    message: '{field} is {bytes} bytes long; Linux takes at most {limit}: pass it in a file',
    retry: 'no'
  },
  PLUGIN_NO_LAUNCH: {
    status: 500,
    message: 'the backend gave no launch for container {container}',
    retry: 'no'
  },
  PLUGIN_NOT_OFFERED: {
    status: 501,
    message: '{what} is not offered by backend {backend}',
    retry: 'no'
  },
  PLUGIN_NOT_RUNNING: {
    status: 400,
    message: 'container "{container}" in pod "{pod}" is not running: it is {state}',
    retry: 'yes'
  },
  PLUGIN_POD_NOT_RUNNING: { status: 400, message: 'pod "{pod}" is not running', retry: 'yes' },
  PLUGIN_PORT: { status: 502, message: 'port {port} of pod "{pod}": {reason}', retry: 'yes' },
  PLUGIN_NO_WAY: {
    status: 502,
    message: 'the node that runs the pod is not reached: {reasons}; interlink doctor says more',
    retry: 'yes'
  },
  PLUGIN_SESSION_LOST: { status: 502, message: 'the session was lost: {reason}', retry: 'yes' },
  PLUGIN_DEVICES_INVALID: { status: 400, message: 'devices: {field}: {reason}', retry: 'no' },
  PLUGIN_DEVICES_REFUSED: { status: 422, message: 'devices of {uid}: {reason}', retry: 'no' },
  PLUGIN_DEVICES_BUSY: { status: 409, message: 'devices of {uid}: {reason}', retry: 'yes' },
  PLUGIN_DEVICES_UNKNOWN: { status: 404, message: 'there is no {kind} {id}', retry: 'no' },
  PLUGIN_DEVICES_IN_USE: { status: 409, message: 'card {card}: {reason}', retry: 'yes' },
  PLUGIN_DEVICES_JOURNAL: { status: 500, message: 'journal of the devices {path}: {reason}', retry: 'yes' },
  LAB_INVALID: { status: 400, message: '{field}: {reason}', retry: 'no' },
  LAB_UNKNOWN: { status: 404, message: 'there is no {kind} {name}; {fix}', retry: 'no' },
  LAB_EXISTS: { status: 409, message: '{kind} {name} is there already; {fix}', retry: 'no' },
  LAB_STATE: { status: 409, message: '{name} {state}; {fix}', retry: 'no' },
  LAB_REFUSED: { status: 422, message: 'remote {remote} refuses: {reason}', retry: 'no' },
  LAB_UNTRUSTED: { status: 403, message: 'remote {remote}: {reason}; {fix}', retry: 'no' },
  LAB_AWAY: { status: 503, message: 'remote {remote} is away: {reason}; {fix}', retry: 'unknown-outcome' },
  LAB_NO_GPU: { status: 409, message: '{name}: {reason}; {fix}', retry: 'yes' },
  LAB_ROUTER: { status: 502, message: 'router {router}: {reason}', retry: 'unknown-outcome' },
  LAB_TOOL: { status: 500, message: '{tool}: {reason}; {fix}', retry: 'no' },
  PLUGIN_CLOSING: { status: 503, message: 'the plugin is closing', retry: 'yes' }
} as const satisfies Record<string, ErrorEntry>

export type PluginErrorCode = keyof typeof errorTable

/** An {@link InterlinkError} with a code of {@link errorTable}. Its message never holds a value of the pod's environment or files. */
export class PluginError extends InterlinkError {
  constructor(code: PluginErrorCode, details: ErrorDetails = {}, cause?: unknown) {
    const { status, retry, message } = errorTable[code]
    const text = message.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? ''))
    super({ code, status, retry, message: text }, details, cause)
  }
}

/** The refusal of a pod, in one sentence and field by field. */
export const refused = (refusals: readonly Refusal[]): PluginError =>
  new PluginError('PLUGIN_REFUSED', {
    reasons: refusals.map(({ field, message }) => `${field}: ${message}`).join('; '),
    refusals: [...refusals]
  })
