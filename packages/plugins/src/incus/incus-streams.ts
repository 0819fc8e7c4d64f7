import type { Streams } from '../kit/backend.ts'
import { hubArgv } from '../kit/streams/hub.ts'
import { hubAccess, type HubAccess } from '../kit/streams/hub-access.ts'
import { jobStreams } from '../kit/streams/job-streams.ts'
import { jobPath } from './first-program.ts'
import { exec } from './rest/exec.ts'
import type { IncusConnection } from './rest/incus-connection.ts'

/** exec, attach and port-forward of the pods of a server, over its own WebSockets. */
export function incusStreams(
  incus: IncusConnection,
  timeoutMs: number
): { streams: Streams; access: HubAccess } {
  const access = hubAccess({
    timeoutMs,
    ways: [
      {
        name: 'incus',
        async open({ jobId }) {
          const { stdin, stdout, stderr, exited, close } = await exec(incus, jobId, {
            command: await hubArgv(jobPath)
          })
          return { stdin, stdout, stderr, exit: exited, kill: close }
        }
      }
    ]
  })
  return { streams: jobStreams({ ...access, seenAs: () => jobPath }), access }
}
