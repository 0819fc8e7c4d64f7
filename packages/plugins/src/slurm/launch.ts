import { Type, type Static } from 'typebox'
import type { Launch, Rendered } from '../kit/backend.ts'
import { containerPaths } from '../kit/plan/context.ts'
import { gpuKinds } from '../kit/plan/extended-resources.ts'
import { deviceVariables, machineVariables } from '../kit/containers/variables.ts'
import type { Rendering } from '../kit/containers/rendering.ts'
import type { Notice, Plan, Refusal } from '../kit/plan/plan.ts'
import { parseFlags } from './annotations/parse-flags.ts'
import { ContainerPolicy, containerOptions, enrootOptions } from '../kit/containers/container-options.ts'
import { readAnnotations, type SlurmAnnotations } from './annotations/read-annotations.ts'
import { tokenize } from '../kit/containers/tokenize.ts'
import { enrootLaunch } from './enroot-launch.ts'
import { gpuFlags, readGres } from './gres.ts'
import { hostLaunch } from '../kit/containers/host-launch.ts'
import { resolveImage, type ImageOptions } from '../kit/containers/images.ts'
import { scriptLaunches } from './job-script.ts'
import { apptainerLaunch, apptainerOnce } from '../kit/containers/apptainer-launch.ts'

const closed = { additionalProperties: false } as const

export const ContainerOptionsSchema = Type.Object(
  {
    runtime: Type.Union(
      [
        Type.Literal('apptainer'),
        Type.Literal('singularity'),
        Type.Literal('enroot'),
        Type.Literal('pyxis'),
        Type.Literal('host')
      ],
      { default: 'apptainer', description: 'what runs containers on the compute nodes' }
    ),
    tool: Type.Optional(Type.String({ description: 'its path on the compute nodes; default: from PATH' })),
    shell: Type.String({
      default: '/bin/sh',
      pattern: '^/',
      description: 'a POSIX shell of the compute nodes'
    }),
    options: Type.Array(Type.String(), { default: [], description: 'further options of the runtime' }),
    gpu: Type.Union([Type.Literal('nvidia'), Type.Literal('amd')], {
      default: 'nvidia',
      description: 'the make of GPUs that a pod asks for by flags of sbatch alone'
    }),
    mpi: Type.Union([Type.Literal('srun'), Type.Literal('mpirun')], {
      default: 'srun',
      description: 'what starts the ranks of a pod with slurm-job.vk.io/mpi-flags'
    }),
    policy: ContainerPolicy
  },
  { ...closed, default: {} }
)
export type ContainerOptionsSchema = Static<typeof ContainerOptionsSchema>

export interface LaunchOptions {
  readonly containers: ContainerOptionsSchema
  readonly images: ImageOptions
}

/** `mpi` are flags of srun or mpirun. */
export interface SlurmRendering extends Rendering {
  readonly options: LaunchOptions
  readonly mpi?: readonly string[]
}

/** What the job's script says to the programs in front of a container; the site's preamble may set the latter ones. */
export const inherited: readonly string[] = [...machineVariables, 'SLURM_CONF']

/** How a compute node would run a plan. Pure. */
export function renderLaunches(plan: Plan, dir: string, options: LaunchOptions): Rendered {
  if (plan.script !== undefined) return scriptLaunches(plan, dir, options.containers.shell)
  const { annotations, notices, refusals: declined } = readAnnotations(plan)
  const runtime = options.containers.runtime
  const forApptainer = [annotations['singularity-mounts'], annotations['singularity-options']]
  const forEnroot = [annotations['enroot-mounts'], annotations['enroot-options']]
  const isApptainer = runtime === 'apptainer' || runtime === 'singularity'
  const { policy } = options.containers
  const asked = isApptainer
    ? containerOptions(forApptainer, policy)
    : containerOptions(runtime === 'enroot' ? forEnroot : [], policy, enrootOptions)
  const refusals: Refusal[] = [...declined, ...asked.refusals]
  const unused = [...(isApptainer ? [] : forApptainer), ...(runtime === 'enroot' ? [] : forEnroot)]
  const told: Notice[] = [
    ...notices,
    ...unused.flatMap((annotation) =>
      annotation
        ? [{ reason: 'AnnotationNotRead', message: `${annotation.name}: containers run by ${runtime} here` }]
        : []
    )
  ]
  const launches: Record<string, Launch> = {}
  const gpu = gpusOf(plan, annotations, options)
  const mpi = annotations['mpi-flags'] ? tokenize(annotations['mpi-flags'].value).words : undefined
  const fields = containerPaths(plan.containers)
  for (const [index, container] of plan.containers.entries()) {
    const field = fields[index]!
    const ranks = container.kind === 'main' && mpi ? { mpi, ranks: startRanks(mpi, options.containers) } : {}
    const launch = renderContainer(
      { plan, dir, container, field, options, asked: asked.options, gpu, ...ranks },
      annotations['image-root']?.value.trim()
    )
    if ('field' in launch) refusals.push(launch)
    else launches[container.name] = launch
  }
  return refusals.length > 0 ? { refusals } : { launches, notices: told, inherit: inheritedOf(mpi) }
}

function renderContainer(rendering: SlurmRendering, root: string | undefined): Launch | Refusal {
  const { container, field, options } = rendering
  const image = resolveImage(container.image, root, options.images)
  if (image.kind === 'invalid') return { field: `${field}.image`, message: image.why }
  if (image.kind === 'host' || options.containers.runtime === 'host') {
    if (image.kind !== 'host')
      return { field: `${field}.image`, message: 'this site runs no images; use image host' }
    return hostLaunch(rendering)
  }
  const reference = image.kind === 'path' ? image.path : image.reference
  switch (options.containers.runtime) {
    case 'enroot':
    case 'pyxis':
      return enrootLaunch(rendering, reference)
    default:
      return rendering.ranks ? apptainerOnce(rendering, reference) : apptainerLaunch(rendering, reference)
  }
}

const startRanks = (mpi: readonly string[], { shell, mpi: starter }: ContainerOptionsSchema): string[] =>
  starter === 'srun'
    ? ['srun', '--kill-on-bad-exit=1', ...mpi]
    : [shell, '-c', 'exec mpirun -np "${SLURM_NTASKS:-1}" "$@"', 'mpirun', ...mpi]

/** By what the pod requests, or by what its flags ask of Slurm. */
function gpusOf(plan: Plan, { flags }: SlurmAnnotations, { containers }: LaunchOptions): Rendering['gpu'] {
  const kinds = gpuKinds(plan.resources)
  if (kinds.nvidia || kinds.amd || !flags) return kinds
  const byFlag = parseFlags(flags.value).flags.some(
    ({ name, value = '' }) =>
      gpuFlags.includes(name) || (name === 'gres' && readGres(value).some((gres) => gres.name === 'gpu'))
  )
  return { nvidia: byFlag && containers.gpu === 'nvidia', amd: byFlag && containers.gpu === 'amd' }
}

/** Devices are handed over by their own names in instance.sh; what MPI needs is many. */
const inheritedOf = (mpi: readonly string[] | undefined): string[] => [
  ...inherited,
  ...deviceVariables,
  ...(mpi ? mpiVariables : [])
]

const mpiVariables = [
  'SLURM_JOB_ID',
  'SLURM_JOBID',
  'SLURM_JOB_NODELIST',
  'SLURM_NODELIST',
  'SLURM_JOB_NUM_NODES',
  'SLURM_NNODES',
  'SLURM_NTASKS',
  'SLURM_NPROCS',
  'SLURM_NTASKS_PER_NODE',
  'SLURM_TASKS_PER_NODE',
  'SLURM_CPUS_PER_TASK',
  'SLURM_JOB_CPUS_PER_NODE',
  'SLURM_CPUS_ON_NODE',
  'SLURM_SUBMIT_DIR',
  'SLURM_EXPORT_ENV',
  'SLURM_JOB_PARTITION',
  'SLURM_CLUSTER_NAME',
  'LD_LIBRARY_PATH'
]
