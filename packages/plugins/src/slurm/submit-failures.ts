import { PluginError } from '../errors.ts'
import type { Ran } from '../kit/transport/transport.ts'
import { wordsOf } from '../kit/transport/words.ts'

/** What may be over by itself: the controller or authentication is away, the queue is full, a limit of how many. */
const passing = [
  /unable to contact slurm controller/i,
  /timed out/i,
  /zero bytes were transmitted/i,
  /temporarily unable/i,
  /connection (refused|failure|reset)/i,
  /communication/i,
  /munge|invalid (auth|user) credential|authentication (error|failure)|credential|protocol authentication/i,
  /MaxSubmitJob|MaxJobCount|job submit limit/i,
  /resource temporarily unavailable|cannot allocate memory|no space left/i,
  /slurmctld|in standby mode|backup controller/i
]

/** A submission that failed: a refusal for good, or something that may pass. */
export function submitFailure({ code, stderr }: Ran): Error {
  const words = wordsOf(stderr)
  const judged = code === 1 || code === 255
  if (judged && words !== '' && !passing.some((pattern) => pattern.test(words)))
    return new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'slurm', reason: words })
  return new Error(words === '' ? `sbatch ended with ${code ?? 'a signal'}` : words)
}
