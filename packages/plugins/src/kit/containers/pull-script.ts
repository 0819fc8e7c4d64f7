import { join } from 'node:path'
import type { Plan } from '../plan/plan.ts'
import { shellWords } from '../supervisor/quote.ts'
import { resolveImage, type ImageOptions } from './images.ts'
import type { ContainerTools } from './rendering.ts'

interface Pulling {
  readonly plan: Plan
  /** The job directory, as the machine that submits sees it. */
  readonly dir: string
  /** What stands before names of images; default: the site's. */
  readonly root: string | undefined
}

interface PullOptions {
  /** Shell text of the site. */
  readonly preamble: string
  readonly images: ImageOptions
  readonly containers: Omit<ContainerTools, 'options'>
}

/**
 * A script for the machine that submits: it puts the images of a job into the cache while the job is queued, and
 * returns at once. Nothing where jobs pull themselves or have no image to pull.
 */
export function pullScript(
  { plan, dir, root }: Pulling,
  { preamble, images, containers }: PullOptions
): string | undefined {
  const { runtime, tool = runtime, shell } = containers
  if (plan.script !== undefined) return undefined
  if (images.pull !== 'submit' || (runtime !== 'apptainer' && runtime !== 'singularity')) return undefined
  const pulls = new Map<string, string[]>()
  for (const { name, image, pullPolicy } of plan.containers) {
    const resolved = resolveImage(image, root, images)
    if (resolved.kind !== 'remote') continue
    const { reference } = resolved
    const pull = shellWords([shell, join(dir, 'image.sh'), dir, name, tool, reference, pullPolicy])
    pulls.set(reference, [...(pulls.get(reference) ?? []), pull])
  }
  if (pulls.size === 0) return undefined
  return [
    preamble,
    "trap '' HUP",
    'export INTERLINK_PULLING=1',
    // One that is tried again and again keeps no other waiting.
    ...[...pulls.values()].map((one) => `{ ${one.join('; ')}; } </dev/null >/dev/null 2>&1 &`),
    ''
  ].join('\n')
}
