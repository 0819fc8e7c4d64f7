import { join } from 'node:path'
import { busyboxRoot } from './image-root.ts'
import { onPath } from './on-path.ts'
import { temporaryDirectory } from './reaper.ts'
import { registryMissing, startRegistry, type Registry } from './registry.ts'

/** What jobs with images of a private registry need, whatever the cluster. */
export interface Images {
  /** It asks for a password, which `options` have. */
  readonly registry: Registry
  /** An image of the registry: busybox. */
  readonly image: string
  /** What that image is made of. */
  readonly root: string
  /** Of the cache. */
  readonly dir: string
  /** Of a backend with Apptainer: `containers` and `images`. */
  readonly options: Record<string, unknown>
  close(): Promise<void>
}

export interface ImagesOptions {
  /** Whether the site has credentials for the registry. */
  readonly credentials?: boolean
  /** Further options of images. */
  readonly images?: Record<string, unknown>
}

export const imagesMissing = (): string | undefined =>
  registryMissing() ?? (onPath('apptainer') ? undefined : 'Apptainer is missing')

/** The registry has no certificate; of root's rights, the machine of a test may lack some. */
export const imagesPreamble = 'export APPTAINER_NOHTTPS=1 APPTAINER_USERNS=1'

export async function startImages({ credentials = true, images = {} }: ImagesOptions = {}): Promise<Images> {
  const directory = temporaryDirectory('images')
  const [registry, root] = await Promise.all([startRegistry(), busyboxRoot(join(directory.path, 'root'))])
  await registry.push('lab/tools:1', root)
  return {
    registry,
    root,
    dir: directory.path,
    image: `${registry.host}/lab/tools:1`,
    options: {
      containers: { tool: onPath('apptainer')! },
      images: {
        cache: join(directory.path, 'cache'),
        ...(credentials ? { authFile: registry.authFile } : {}),
        ...images
      }
    },
    close: async () => {
      await registry.close()
      await directory.remove()
    }
  }
}
