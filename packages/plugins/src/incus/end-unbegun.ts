import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceMirrored } from '../kit/jobs/mirrored-files.ts'

/** Of a job whose supervisor has not been started, and will not be: its end, in the supervisor's place. */
export async function endUnbegun(dir: string): Promise<void> {
  await mkdir(join(dir, 'state'), { recursive: true, mode: 0o700 })
  await replaceMirrored(join(dir, 'state/pod'), Buffer.from(`finished=${Date.now()}\nreason=\nmessage=\n`))
}
