/** The shell program that a job runs. Pure; it holds nothing secret. */
import type { Job } from '../kit/backend.ts'
import {
  endScratch,
  makeMemoryVolumes,
  makeScratch,
  supervise,
  type BatchShell
} from '../kit/supervisor/batch-job.ts'
import { shellQuote } from '../kit/supervisor/quote.ts'

interface ProgramOptions {
  readonly preamble: string
  readonly shell: string
  /** HTCondor carries the files of the job. */
  readonly transfers?: boolean
}

const condorShell: BatchShell = {
  scratch: '${_CONDOR_SCRATCH_DIR:-${TMPDIR:-/tmp}}',
  id: '${cluster:-0}.${proc:-0}',
  // A job that was evicted is run once more; its shadow is begun before it each time.
  again: '${again:+again}'
}

/** The starter gives a job neither the home of its account nor a PATH, and its ad in a file. */
const surroundings = `ad=$_CONDOR_JOB_AD
cluster=$(sed -n 's/^ClusterId = //p' "$ad" 2>/dev/null)
proc=$(sed -n 's/^ProcId = //p' "$ad" 2>/dev/null)
starts=$(sed -n 's/^NumShadowStarts = //p' "$ad" 2>/dev/null)
[ "\${starts:-1}" -le 1 ] || again=1
[ -n "\${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
export HOME="\${HOME:-$_CONDOR_SCRATCH_DIR}" PATH="\${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"`

/** In the directory that is given to condor_submit, and on the machine in that which the starter has made. */
export const bundleFile = 'job.tar'
/** What a job sends back: all of its state and logs for the plugin, and its state for a second run. */
export const sentFile = 'job.sent'
export const stateFile = 'state.tar'

/**
 * The job directory is unpacked where the starter has put it, and appears as `dir`. A run that was evicted has sent its
 * state, which HTCondor brings to the next one.
 */
const unpack = (dir: string): string => `umask 077
here=$PWD dir=${shellQuote(dir)}
mkdir -p job && tar -xpf ${bundleFile} -C job && rm -f ${bundleFile} || exit 1
if [ -s ${stateFile} ]; then tar -xf ${stateFile} -C job; fi
[ ! -L "$dir" ] || rm -f -- "$dir"
ln -s -- "$here/job" "$dir" || exit 1
: >${sentFile}
[ -e ${stateFile} ] || : >${stateFile}`

const sendBack = (shell: string): string => `cd -- "$here"
tar -cf ${stateFile}.tmp -C job state && mv -- ${stateFile}.tmp ${stateFile}
INTERLINK_ONCE=1 ${shellQuote(shell)} job/send.sh "$here/job" >${sentFile}
rm -f -- "$dir"`

/** `dir` is the job directory as the machine of the job sees it. */
export const renderProgram = (
  { plan, dir }: Pick<Job, 'plan' | 'dir'>,
  { preamble, shell, transfers }: ProgramOptions
): string =>
  [
    `# Runs pod ${plan.pod.namespace}/${plan.pod.name} (${plan.pod.uid}). Its logs are in ${dir}/log.`.replace(
      /[\r\n]/g,
      ' '
    ),
    surroundings,
    ...(transfers ? [unpack(dir)] : []),
    ...(preamble === '' ? [] : [preamble.replace(/\n*$/, '')]),
    makeScratch(condorShell),
    ...makeMemoryVolumes(plan, dir, condorShell),
    supervise(dir, shell, condorShell),
    ...(transfers ? [sendBack(shell)] : []),
    endScratch,
    ''
  ].join('\n')
