import { writeJob } from '../supervisor/write-job.ts'
import type { PreparedJob } from './prepare-job.ts'
import { writeVolumes } from './volume-writer.ts'

/** Everything in a job directory but the plugin's own records: scripts, environment, volumes. */
export async function writeJobFiles({
  plan,
  dir,
  launches,
  inherit = [],
  seenAs = dir
}: PreparedJob): Promise<void> {
  await writeVolumes(plan, dir)
  await writeJob(plan, launches, dir, { inherit, seenAs })
}
