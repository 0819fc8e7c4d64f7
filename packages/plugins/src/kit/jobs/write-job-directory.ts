import { makeJobDirectory, removeJobDirectory, writePlan } from './job-directory.ts'
import { cannotWrite } from './job-failures.ts'
import type { PreparedJob } from './prepare-job.ts'
import { writeJobFiles } from './write-job-files.ts'

/** Writes the whole directory of a job, or nothing. */
export async function writeJobDirectory(root: string, prepared: PreparedJob): Promise<void> {
  try {
    await makeJobDirectory(prepared.dir)
    const written = await Promise.allSettled([
      writePlan(prepared.dir, prepared.plan),
      writeJobFiles(prepared)
    ])
    for (const part of written) if (part.status === 'rejected') throw part.reason
  } catch (error) {
    await removeJobDirectory(root, prepared.dir).catch(() => {})
    throw cannotWrite(error)
  }
}
