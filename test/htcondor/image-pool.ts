import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { imagesMissing, imagesPreamble, startImages, type Images } from '../support/images.ts'
import { htcondorPrefix, htcondorUnprepared } from './prefix.ts'

/** `options` are those of the HTCondor backend. */
export interface ImagePool extends Images {
  readonly lab: HtcondorLab
}

export const imagePoolMissing = (): string | undefined => htcondorUnprepared() ?? imagesMissing()

/** A private pool with Apptainer and a private registry. */
export async function startImagePool(
  shape: Partial<Parameters<typeof startHtcondorLab>[0]> = {}
): Promise<ImagePool> {
  const [lab, images] = await Promise.all([
    startHtcondorLab({ cpus: 64, memoryMiB: 64_000, prefix: htcondorPrefix, ...shape }),
    startImages()
  ])
  return {
    ...images,
    lab,
    options: { ...lab.options, ...images.options, submit: { preamble: imagesPreamble } },
    close: async () => {
      await lab.close()
      await images.close()
    }
  }
}
