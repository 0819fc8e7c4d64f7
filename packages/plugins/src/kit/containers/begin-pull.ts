import type { BackendContext } from '../backend.ts'
import type { Transport } from '../transport/transport.ts'
import { pullScript } from './pull-script.ts'

interface Site {
  readonly transport: Transport
  readonly log: BackendContext['log']
  readonly timeoutMs: number
}

/** Asks for the images of a job while it is queued. Where it cannot be begun, the job pulls after a while itself. */
export async function beginPull(
  job: Parameters<typeof pullScript>[0],
  options: Parameters<typeof pullScript>[1],
  { transport, log, timeoutMs }: Site
): Promise<void> {
  const script = pullScript(job, options)
  if (script === undefined) return
  await transport
    .run([options.containers.shell, '-s'], { input: script, timeoutMs })
    .catch((err: unknown) =>
      log.warn({ uid: job.plan.pod.uid, err }, 'the images of a job were not asked for')
    )
}
