/** The shell program that a job runs. Pure; it holds nothing secret. */
import type { Job } from '../kit/backend.ts'
import {
  endScratch,
  makeMemoryVolumes,
  makeScratch,
  supervise,
  type BatchShell
} from '../kit/supervisor/batch-job.ts'

const condorShell: BatchShell = {
  scratch: '${_CONDOR_SCRATCH_DIR:-${TMPDIR:-/tmp}}',
  id: '${cluster:-0}',
  // A job that was evicted is run once more; its shadow is begun before it each time.
  again: '${again:+again}'
}

/** The starter gives a job neither the home of its account nor a PATH, and its ad in a file. */
const surroundings = `ad=$_CONDOR_JOB_AD
cluster=$(sed -n 's/^ClusterId = //p' "$ad" 2>/dev/null)
starts=$(sed -n 's/^NumShadowStarts = //p' "$ad" 2>/dev/null)
[ "\${starts:-1}" -le 1 ] || again=1
[ -n "\${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
export HOME="\${HOME:-$_CONDOR_SCRATCH_DIR}" PATH="\${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"`

/** `dir` is the job directory as the machine of the job sees it. */
export const renderProgram = (
  { plan, dir }: Pick<Job, 'plan' | 'dir'>,
  { preamble, shell }: { readonly preamble: string; readonly shell: string }
): string =>
  [
    `# Runs pod ${plan.pod.namespace}/${plan.pod.name} (${plan.pod.uid}). Its logs are in ${dir}/log.`.replace(
      /[\r\n]/g,
      ' '
    ),
    surroundings,
    ...(preamble === '' ? [] : [preamble.replace(/\n*$/, '')]),
    makeScratch(condorShell),
    ...makeMemoryVolumes(plan, dir, condorShell),
    supervise(dir, shell, condorShell),
    endScratch,
    ''
  ].join('\n')
