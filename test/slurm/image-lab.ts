import { join } from 'node:path'
import { slurmMissing, startSlurmLab, type SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { busyboxRoot } from '../support/image-root.ts'
import { onPath } from '../support/on-path.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { registryMissing, startRegistry, type Registry } from '../support/registry.ts'
import { sshdMissing, startSshd } from './sshd.ts'

export interface ImageLab {
  readonly lab: SlurmLab
  /** It asks for a password, which `options` have. */
  readonly registry: Registry
  /** Of the Slurm backend. */
  readonly options: Record<string, unknown>
  /** An image of the registry: busybox. */
  readonly image: string
  /** What that image is made of. */
  readonly root: string
  /** Of the cache. */
  readonly dir: string
  close(): Promise<void>
}

interface ImageLabOptions {
  readonly ssh?: boolean
  /** Of the Slurm; default: this machine's. */
  readonly prefix?: string | undefined
  /** Whether the site has credentials for the registry. */
  readonly credentials?: boolean
  /** Further options of images. */
  readonly images?: Record<string, unknown>
}

export const imageLabMissing = (ssh = false, prefix?: string): string | undefined =>
  slurmMissing(prefix) ??
  registryMissing() ??
  (ssh ? sshdMissing() : undefined) ??
  (onPath('apptainer') ? undefined : 'Apptainer is missing')

/** The registry has no certificate; of root's rights, the machine of a test may lack some. */
const preamble = 'export APPTAINER_NOHTTPS=1 APPTAINER_USERNS=1'

/** A private Slurm with Apptainer and a private registry; behind SSH, with a file system of its own. */
export async function startImageLab({
  ssh = false,
  prefix,
  credentials = true,
  images = {}
}: ImageLabOptions = {}): Promise<ImageLab> {
  const missing = imageLabMissing(ssh, prefix)
  if (missing !== undefined) throw new Error(missing)
  const directory = temporaryDirectory('images')
  const [lab, registry, sshd] = await Promise.all([
    startSlurmLab({ cpus: 64, memoryMiB: 64_000, prefix }),
    startRegistry(),
    ssh ? startSshd() : undefined
  ])
  const root = await busyboxRoot(join(directory.path, 'root'))
  await registry.push('lab/tools:1', root)
  return {
    lab,
    registry,
    root,
    dir: directory.path,
    image: `${registry.host}/lab/tools:1`,
    options: {
      ...lab.options,
      batch: { preamble },
      containers: { tool: onPath('apptainer')! },
      images: {
        cache: join(directory.path, 'cache'),
        ...(credentials ? { authFile: registry.authFile } : {}),
        ...images
      },
      ...(sshd ? { ssh: { ...sshd.options, directory: join(lab.dir, 'jobs') } } : {})
    },
    close: async () => {
      await lab.close()
      await sshd?.close()
      await registry.close()
      await directory.remove()
    }
  }
}
