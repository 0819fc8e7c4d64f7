import { join } from 'node:path'
import { slurmMissing, startSlurmLab, type SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import {
  imagesMissing,
  imagesPreamble,
  startImages,
  type Images,
  type ImagesOptions
} from '../support/images.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

/** `options` are those of the Slurm backend. */
export interface ImageLab extends Images {
  readonly lab: SlurmLab
}

interface ImageLabOptions extends ImagesOptions {
  readonly ssh?: boolean
  /** Of the Slurm; default: this machine's. */
  readonly prefix?: string | undefined
}

export const imageLabMissing = (ssh = false, prefix?: string): string | undefined =>
  slurmMissing(prefix) ?? imagesMissing() ?? (ssh ? sshdMissing() : undefined)

/** A private Slurm with Apptainer and a private registry; behind SSH, with a file system of its own. */
export async function startImageLab({ ssh = false, prefix, ...of }: ImageLabOptions = {}): Promise<ImageLab> {
  const missing = imageLabMissing(ssh, prefix)
  if (missing !== undefined) throw new Error(missing)
  const [lab, images, sshd] = await Promise.all([
    startSlurmLab({ cpus: 64, memoryMiB: 64_000, prefix }),
    startImages(of),
    ssh ? startSshd() : undefined
  ])
  return {
    ...images,
    lab,
    options: {
      ...lab.options,
      ...images.options,
      batch: { preamble: imagesPreamble },
      ...(sshd ? { ssh: { ...sshd.options, directory: join(lab.dir, 'jobs') } } : {})
    },
    close: async () => {
      await lab.close()
      await sshd?.close()
      await images.close()
    }
  }
}
