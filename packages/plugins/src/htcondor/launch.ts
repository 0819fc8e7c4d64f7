import { Type, type Static } from 'typebox'
import type { Launch, Rendered } from '../kit/backend.ts'
import { apptainerLaunch } from '../kit/containers/apptainer-launch.ts'
import { ContainerPolicy, containerOptions } from '../kit/containers/container-options.ts'
import { hostLaunch } from '../kit/containers/host-launch.ts'
import { resolveImage, type ImageOptions } from '../kit/containers/images.ts'
import type { Rendering } from '../kit/containers/rendering.ts'
import { deviceVariables, machineVariables } from '../kit/containers/variables.ts'
import { containerPaths } from '../kit/plan/context.ts'
import { gpuKinds } from '../kit/plan/extended-resources.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import { readAnnotations } from './annotations.ts'

export const ContainerOptions = Type.Object(
  {
    runtime: Type.Union([Type.Literal('apptainer'), Type.Literal('singularity'), Type.Literal('host')], {
      default: 'apptainer',
      description: 'what runs containers on the machines of the pool'
    }),
    tool: Type.Optional(Type.String({ description: 'its path on the machines; default: from PATH' })),
    shell: Type.String({ default: '/bin/sh', pattern: '^/', description: 'a POSIX shell of the machines' }),
    options: Type.Array(Type.String(), { default: [], description: 'further options of the runtime' }),
    policy: ContainerPolicy
  },
  { additionalProperties: false, default: {} }
)
export type ContainerOptions = Static<typeof ContainerOptions>

interface LaunchOptions {
  readonly containers: ContainerOptions
  readonly images: ImageOptions
}

/** What the starter says of the machine's devices and of the slot. */
const slotVariables = ['_CONDOR_SLOT', '_CONDOR_SCRATCH_DIR', 'OMP_NUM_THREADS']

/** How a machine of the pool would run a plan; `dir` is the job directory as it sees it. Pure. */
export function renderLaunches(plan: Plan, dir: string, options: LaunchOptions): Rendered {
  const { annotations } = readAnnotations(plan)
  const said = [annotations['singularity-mounts'], annotations['singularity-options']]
  const asked = containerOptions(said, options.containers.policy)
  const refusals: Refusal[] = [...asked.refusals]
  const launches: Record<string, Launch> = {}
  const gpu = gpuKinds(plan.resources)
  const fields = containerPaths(plan.containers)
  for (const [index, container] of plan.containers.entries()) {
    const field = fields[index]!
    const launch = renderContainer(
      { plan, dir, container, field, options, asked: asked.options, gpu },
      annotations['image-root']?.value,
      options
    )
    if ('field' in launch) refusals.push(launch)
    else launches[container.name] = launch
  }
  if (refusals.length > 0) return { refusals }
  return { launches, notices: [], inherit: [...machineVariables, ...deviceVariables, ...slotVariables] }
}

function renderContainer(
  rendering: Rendering,
  root: string | undefined,
  { containers, images }: LaunchOptions
): Launch | Refusal {
  const { container, field } = rendering
  const image = resolveImage(container.image, root, images)
  if (image.kind === 'invalid') return { field: `${field}.image`, message: image.why }
  if (image.kind === 'host') return hostLaunch(rendering)
  if (containers.runtime === 'host')
    return { field: `${field}.image`, message: 'this site runs no images; use image host' }
  return apptainerLaunch(rendering, image.kind === 'path' ? image.path : image.reference)
}
