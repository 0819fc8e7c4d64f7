/** The parts of a batch job's script that every batch system needs around the supervisor. Pure; POSIX sh. */
import { join } from 'node:path'
import type { Plan } from '../plan/plan.ts'
import { shellQuote, shellWords } from './quote.ts'

/** What the shell knows of the job that it runs: words, expanded where they stand. */
export interface BatchShell {
  /** Parent of the files on the machine of the job, such as `${TMPDIR:-/tmp}`. */
  readonly scratch: string
  /** The job's number. */
  readonly id: string
  /** `again` where the batch system runs the job once more, and nothing otherwise; see assets/supervisor/again.sh. */
  readonly again: string
}

/** Files of this job on its own machine, gone with it. */
export const makeScratch = ({ scratch, id }: BatchShell): string => `umask 077
INTERLINK_SCRATCH=$(mktemp -d "${scratch}/interlink.${id}.XXXXXX") || exit 1
export INTERLINK_SCRATCH
memory=`

/** emptyDirs of medium Memory; `dir` is the job directory. */
export function makeMemoryVolumes({ volumes }: Plan, dir: string, { id }: BatchShell): string[] {
  const names = volumes.flatMap((volume) =>
    volume.kind === 'emptyDir' && volume.memory ? [volume.name] : []
  )
  if (names.length === 0) return []
  return [
    `memory=$(mktemp -d "/dev/shm/interlink.${id}.XXXXXX") || exit 1`,
    ...names.map((name) => {
      const place = shellQuote(join(dir, 'volumes', name))
      return `mkdir "$memory"/${shellQuote(name)} && rm -rf ${place} && ln -s "$memory"/${shellQuote(name)} ${place}`
    })
  ]
}

interface Around {
  /** In front of the supervisor. */
  readonly inside?: string
  /** Started beside it, and run when it has ended. */
  readonly beside?: string
  readonly after?: string
}

/** TERM, of the batch system or of somebody who ends the job, goes to the supervisor. Sets `code`. */
export function supervise(dir: string, shell: string, { again }: BatchShell, around: Around = {}): string {
  const { inside = '', beside, after } = around
  const job = shellWords([shell, join(dir, 'job.sh')])
  return [
    ...(beside === undefined ? [] : [`${beside} &`]),
    `${inside}${job} ${again} &
job=$!
trap 'kill -s TERM "$job" 2>/dev/null' TERM INT
wait "$job"
code=$?
while kill -s 0 "$job" 2>/dev/null; do
  wait "$job"
  code=$?
done`,
    ...(after === undefined ? [] : [after])
  ].join('\n')
}

/** What is of this machine is removed; the code is the supervisor's. */
export const endScratch = `chmod -R u+rwx "$INTERLINK_SCRATCH" 2>/dev/null
rm -rf "$INTERLINK_SCRATCH" \${memory:+"$memory"}
exit "$code"`
