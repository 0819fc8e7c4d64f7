import { Type, type Static } from 'typebox'
import type { Job } from '../kit/backend.ts'
import type { Notice, Plan, Refusal } from '../kit/plan/plan.ts'
import {
  endScratch,
  makeMemoryVolumes,
  makeScratch,
  supervise,
  type BatchShell
} from '../kit/supervisor/batch-job.ts'
import { shellQuote, shellWords } from '../kit/supervisor/quote.ts'
import { FlagPolicy } from './annotations/flag-policy.ts'
import { refuseAnnotation } from '../kit/plan/annotations.ts'
import { readAnnotations, type SlurmAnnotations } from './annotations/read-annotations.ts'
import type { PartitionFacts } from './cluster-facts.ts'
import { Flavor } from './flavors.ts'
import { jobFlags } from './job-flags.ts'
import { scriptCommand } from './job-script.ts'
import { ResourceOptions } from './resources.ts'

const closed = { additionalProperties: false } as const

/** What a job says to Slurm. */
export const BatchOptions = Type.Object(
  {
    flags: FlagPolicy,
    flavors: Type.Array(Flavor, { default: [] }),
    defaultFlavor: Type.Optional(Type.String()),
    resources: ResourceOptions,
    preamble: Type.String({
      default: '',
      description: 'shell text of the site in front of every job, such as `module load apptainer`'
    }),
    rawShell: Type.Boolean({
      default: false,
      description: 'run the shell text of slurm-job.vk.io/pre-exec and interlink.eu/wstunnel-client-commands'
    }),
    jobScripts: Type.Boolean({
      default: false,
      description: 'run the scripts that a job script builder makes of pods (jobScript): raw shell too'
    })
  },
  { ...closed, default: {} }
)
export type BatchOptions = Static<typeof BatchOptions>

export interface Batch {
  /** Arguments of sbatch, which the script does not repeat. */
  readonly args: readonly string[]
  /** What sbatch reads from its standard input. It holds nothing secret: `scontrol write batch_script` shows it. */
  readonly script: string
  readonly notices: readonly Notice[]
  readonly refusals: readonly Refusal[]
}

/**
 * The job of a plan as sbatch takes it. Pure. `dir` is the job directory as the compute node sees it; `partitions` are
 * those that are known.
 */
export function renderBatch(
  { plan, dir }: Pick<Job, 'plan' | 'dir'>,
  options: BatchOptions,
  shell = '/bin/sh',
  partitions: readonly PartitionFacts[] = []
): Batch {
  const { annotations } = readAnnotations(plan)
  const { args, files, notices, refusals } = jobFlags(plan, dir, annotations, options, partitions)
  return {
    args,
    notices,
    refusals: [...refusals, ...refuseShell(annotations, options)],
    script: [
      `#!${shell}`,
      `# Runs pod ${plan.pod.namespace}/${plan.pod.name} (${plan.pod.uid}). Its logs are in ${dir}/log.`.replace(
        /[\r\n]/g,
        ' '
      ),
      ...exports(dir, annotations),
      ...(options.preamble === '' ? [] : [options.preamble.replace(/\n*$/, '')]),
      ...files.map((file) => mention(file, dir)),
      makeScratch(slurmShell),
      ...makeMemoryVolumes(plan, dir, slurmShell),
      ...(options.rawShell ? rawShell(annotations) : []),
      run(plan, annotations, options, shell, dir),
      endScratch,
      ''
    ].join('\n')
  }
}

/** Steps that the job starts get its whole environment; the variables are the reference's. */
function exports(dir: string, { podIp }: SlurmAnnotations): string[] {
  return [
    'export SLURM_EXPORT_ENV=ALL',
    `export workingPath=${shellQuote(dir)} SANDBOX=${shellQuote(dir)}`,
    ...(podIp ? [`export POD_IP=${shellQuote(podIp.value)}`] : [])
  ]
}

const slurmShell: BatchShell = {
  scratch: '${SLURM_TMPDIR:-${TMPDIR:-/tmp}}',
  id: '${SLURM_JOB_ID:-0}',
  // Slurm starts a job again that it has put back into the queue, once it knows that the first run has ended.
  again: '${SLURM_RESTART_COUNT:+again}'
}

function run(
  plan: Plan,
  annotations: SlurmAnnotations,
  options: BatchOptions,
  shell: string,
  dir: string
): string {
  const mesh = options.rawShell && /EOFMESH/.test(annotations['pre-exec']?.value ?? '')
  const inside = mesh ? 'sh "${TMPDIR:-/tmp}/mesh.sh" ' : ''
  const script = (mode: 'run' | 'end') => shellWords([shell, ...scriptCommand(mode, dir)])
  return supervise(dir, shell, slurmShell, {
    inside,
    ...(plan.script === undefined ? {} : { beside: `${inside}${script('run')}`, after: script('end') })
  })
}

/** Patterns of file names, sbatch(1), "filename pattern". */
const patterns: Readonly<Record<string, string>> = {
  j: '"${SLURM_JOB_ID:-0}"',
  J: '"${SLURM_JOB_ID:-0}"',
  A: '"${SLURM_JOB_ID:-0}"',
  a: '4294967294',
  x: '"${SLURM_JOB_NAME:-}"',
  u: '"$(id -un)"',
  N: '"${SLURMD_NODENAME:-}"',
  n: '0',
  t: '0',
  s: 'batch',
  '%': '%'
}

/** The pod's own output file says where its logs are; it is only ever added to, and need not be writable. */
function mention(file: string, dir: string): string {
  const word = file
    .split(/(%\d*[jJAaxuNnts%])/)
    .map((part, index) => (index % 2 === 0 ? (part === '' ? '' : shellQuote(part)) : patterns[part.at(-1)!]!))
    .join('')
  return `out=${word || "''"}
{ mkdir -p "$(dirname -- "$out")" && printf 'The logs of this job are in %s\\n' ${shellQuote(`${dir}/log`)} >>"$out"; } 2>/dev/null`
}

function refuseShell(annotations: SlurmAnnotations, { rawShell }: BatchOptions): Refusal[] {
  if (rawShell) return []
  return [annotations['pre-exec'], annotations.wstunnel].flatMap((annotation) =>
    annotation
      ? [
          refuseAnnotation(
            annotation,
            'shell text of pods is not run at this site; remove it, or ask the site for options.batch.rawShell'
          )
        ]
      : []
  )
}

const rawShell = (annotations: SlurmAnnotations): string[] =>
  [annotations.wstunnel, annotations['pre-exec']].flatMap((annotation) =>
    annotation ? [withoutMeshCall(annotation.value)] : []
  )

/** In full-mesh mode the text ends by calling the script that it has written; the job is that script's argument. */
const withoutMeshCall = (text: string): string =>
  /EOFMESH/.test(text)
    ? text.replace(/^[^\n#]*\$\{?TMPDIR\}?\/mesh\.sh[^\n]*$/gm, (line) =>
        /<</.test(line) || /chmod/.test(line) ? line : ''
      )
    : text
