import { execFileSync } from 'node:child_process'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { startIncusLab, type IncusLab } from '@interlink-ts/dev-cluster/incus'
import { temporaryDirectory } from '../support/reaper.ts'

export interface CardLab extends IncusLab {
  /** Takes a card out of the machine, or puts it back. */
  pull(card: keyof typeof partsOf): void
  plug(card: keyof typeof partsOf): void
}

/** Below the directory of fake-cards.sh. */
const partsOf = {
  gpu: ['pci/0000:86:00.0', 'drm/card1', 'drm/renderD129', 'nodes/nvidia1'],
  fpga: ['pci/0000:5e:00.1', 'nodes/fpga0']
} as const

const script = fileURLToPath(new URL('fake-cards.sh', import.meta.url))

/** A lab whose daemon sees the two GPUs and the FPGA of fake-cards.sh; closed after the test. */
export async function startCardLab(t: Test): Promise<CardLab> {
  const fake = temporaryDirectory('cards')
  // Containers map root to an account that must get through to what is bound into them.
  execFileSync('chmod', ['711', fake.path])
  const dir = join(fake.path, 'fake')
  const lab = await startIncusLab({ under: ['/bin/sh', script, dir] })
  t.teardown(async () => {
    await lab.close()
    rmSync(fake.path, { recursive: true, force: true })
  })
  const outside = (part: string) => join(dir, `out-${part.replace('/', '-')}`)
  return {
    ...lab,
    pull: (card) => {
      for (const part of partsOf[card]) renameSync(join(dir, part), outside(part))
    },
    plug: (card) => {
      for (const part of partsOf[card]) renameSync(outside(part), join(dir, part))
    }
  }
}

/** As `nvidia-smi -L` names the slices of the first card. */
export const sliceUuids = [
  'MIG-74c6a31a-fde5-5c61-973b-70e12346c202',
  'MIG-a1b2c3d4-0001-5c61-973b-70e12346c202'
] as const

const slice = (start: number, uuid: string) => ({ profile: '3g.20gb', start, uuid })

/** One card in two slices, one that is whole, and an FPGA. */
export const fakeInventory = JSON.stringify({
  cards: [
    {
      id: 'GPU-11111111-1111-1111-1111-111111111111',
      model: 'NVIDIA A100-SXM4-40GB',
      pci: '0000:3b:00.0',
      sharing: {
        type: 'mig',
        geometry: 'a100-40gb',
        instances: [slice(0, sliceUuids[0]), slice(4, sliceUuids[1])]
      }
    },
    {
      id: 'GPU-22222222-2222-2222-2222-222222222222',
      uuid: 'GPU-22222222-2222-2222-2222-222222222222',
      model: 'NVIDIA A100-SXM4-40GB',
      pci: '0000:86:00.0'
    },
    {
      id: 'U55C-1',
      vendor: 'xilinx.com',
      model: 'Alveo U55C',
      pci: '0000:5e:00.1',
      paths: ['/dev/fpga0'],
      sharing: { type: 'fpga', shell: 'xilinx_u55c_gen3x16_xdma_base_3', user: '0000:5e:00.1' }
    }
  ]
})
