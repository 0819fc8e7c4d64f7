import { PluginError } from '../errors.ts'
import type { Ran } from '../kit/transport/transport.ts'
import { wordsOf } from '../kit/transport/words.ts'

/** What may be over by itself: the queue or authentication is away, it is full, a limit of how many. */
const passing = [
  /(can't|cannot|could not|couldn't|unable to|failed to) (find|connect|contact|reach|send|communicate|authenticate|receive)/i,
  /AUTHENTICATE|SECMAN|CEDAR|DCSchedd|token|credential|expired/,
  // The queue went while it took the job; one that does not want the job says more.
  /^(ERROR: )?Failed to commit job submission into the queue\.?$/i,
  /Failed (to (create|queue|set|get|start)|submission)\b/i,
  /timed? ?out|connection|temporar|try again/i,
  /MAX_JOBS|number of submitted jobs|job limit|queue is full|too many/i,
  /resource temporarily unavailable|cannot allocate memory|no space left/i
]

/** A submission that failed: a refusal for good, or something that may pass. */
export function submitFailure({ code, stdout, stderr }: Ran): Error {
  const words = wordsOf(stderr) || wordsOf(stdout.toString())
  if (code === 1 && words !== '' && !passing.some((pattern) => pattern.test(words)))
    return new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'htcondor', reason: words })
  return new Error(words === '' ? `condor_submit ended with ${code ?? 'a signal'}` : words)
}
