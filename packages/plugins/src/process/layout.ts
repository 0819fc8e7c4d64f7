/** Where a container's mounts come to lie in a file system that is there already. */
import { lstat, readlink, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Placement } from '../kit/runtimes/placements.ts'

export interface Laid {
  /** Steps of assets/isolate.sh, flat. */
  readonly steps: readonly string[]
  /** Directories of the machine that get a private copy, as entries had to be added. */
  readonly rebuilt: readonly string[]
  /** Something of the container lies over the directory `watched`, so that it cannot be seen from within. */
  readonly hides: boolean
}

interface Resolved {
  readonly path: string
  /** The deepest directory of it that is there. */
  readonly base: string
  readonly exists: boolean
}

/** A path that cannot be mounted at; the message says why. */
export class PlacementError extends Error {
  readonly path: string
  constructor(path: string, message: string) {
    super(message)
    this.path = path
  }
}

const maxLinks = 40

/**
 * The steps that put every placement into the root `/` of this machine (`root` empty) or of an unpacked image.
 * In the machine's own root nothing may be made: a directory that lacks an entry is rebuilt around it.
 * @throws PlacementError
 */
export async function layOut(placements: readonly Placement[], root: string, watched: string): Promise<Laid> {
  const resolved = await Promise.all(
    placements.map(async (placement) => ({ ...placement, at: await resolveIn(root, placement.path) }))
  )
  const sorted = resolved.sort(
    (a, b) => depth(a.at.path) - depth(b.at.path) || (a.at.path < b.at.path ? -1 : 1)
  )
  const rebuilds = new Map<string, string>()
  const binds: string[] = []
  const readonly: string[] = []
  const placed: string[] = []
  const points: string[] = []
  for (const { at, source, subPath, readOnly, path } of sorted) {
    if (/^\/(proc|sys)(\/|$)/.test(at.path))
      throw new PlacementError(path, `nothing can be mounted in ${at.path}; use another path`)
    const inVolume = placed.some((above) => isBelow(at.path, above))
    if (!inVolume && !at.exists && root === '') await rebuild(at, path, rebuilds)
    if (!inVolume && !at.exists && root !== '')
      points.push('point', subPath === undefined ? source : `${source}/${subPath}`, at.path)
    binds.push(...(subPath === undefined ? ['bind', source] : ['sub', source, subPath]), at.path)
    if (readOnly) readonly.push('readonly', at.path)
    placed.push(at.path)
  }
  const { path: seen } = await resolveIn('', watched)
  return {
    ...rootSteps(root, rebuilds, points, binds, readonly),
    rebuilt: [...rebuilds.keys()],
    hides: placed.some((above) => isBelow(seen, above))
  }
}

function rootSteps(
  root: string,
  rebuilds: ReadonlyMap<string, string>,
  points: readonly string[],
  binds: readonly string[],
  readonly: readonly string[]
): Pick<Laid, 'steps'> {
  if (root !== '') return { steps: [...points, 'image', root, 'devices', ...binds, ...readonly] }
  const whole = rebuilds.get('/')
  const others = [...rebuilds]
    .filter(([dir]) => dir !== '/')
    .sort(([a], [b]) => depth(a) - depth(b))
    .flatMap(([dir, mode]) => (dir === '/dev' ? ['devices'] : ['rebuild', mode, dir]))
  return {
    steps: [...(whole === undefined ? ['host'] : ['rebuild', whole, '/']), ...others, ...binds, ...readonly]
  }
}

async function rebuild(at: Resolved, path: string, rebuilds: Map<string, string>): Promise<void> {
  const found = await stat(at.base)
  if (!found.isDirectory())
    throw new PlacementError(path, `${at.base} of this machine is no directory; mount elsewhere`)
  if (at.base.startsWith('/dev/'))
    throw new PlacementError(path, `nothing can be added to ${at.base}; mount elsewhere`)
  rebuilds.set(at.base, (found.mode & 0o7777).toString(8))
}

/** Follows links as somebody would whose root is `root`. */
async function resolveIn(root: string, path: string): Promise<Resolved> {
  let links = 0
  let at = ''
  const rest = path.split('/').filter((part) => part !== '' && part !== '.')
  while (rest.length > 0) {
    const part = rest.shift()!
    if (part === '..') {
      at = dirname(at || '/').replace(/^\/$/, '')
      continue
    }
    const here = `${at}/${part}`
    const found = await lstat(join(root, here)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw new PlacementError(path, `${here} cannot be looked at: ${error.code ?? error.message}`)
    })
    if (!found) return { path: [here, ...rest].join('/'), base: at || '/', exists: false }
    if (!found.isSymbolicLink()) {
      at = here
      continue
    }
    if (++links > maxLinks) throw new PlacementError(path, 'has too many links on its way')
    const target = await readlink(join(root, here))
    if (target.startsWith('/')) at = ''
    rest.unshift(...target.split('/').filter((step) => step !== '' && step !== '.'))
  }
  return { path: at || '/', base: at || '/', exists: true }
}

const depth = (path: string): number => (path === '/' ? 0 : path.split('/').length)
const isBelow = (path: string, above: string): boolean =>
  above === '/' || path === above || path.startsWith(`${above}/`)
