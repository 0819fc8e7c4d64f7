import { makeJobDirectory, removeJobDirectory, writePlan } from './job-directory.ts'
import { cannotWrite } from './job-failures.ts'
import type { PreparedJob } from './prepare-job.ts'
import { writeJobFiles } from './write-job-files.ts'

/** Writes the whole directory of a job, or nothing. */
export async function writeJobDirectory(root: string, prepared: PreparedJob): Promise<void> {
  try {
    await makeJobDirectory(prepared.dir)
    // First: what has files and no plan is taken for a job that was damaged, and is left alone.
    await writePlan(prepared.dir, prepared.plan)
    await writeJobFiles(prepared)
  } catch (error) {
    await removeJobDirectory(root, prepared.dir).catch(() => {})
    throw cannotWrite(error)
  }
}
