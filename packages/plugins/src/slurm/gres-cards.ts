import type { Card } from '../kit/devices/card.ts'
import { readGres } from './gres.ts'

/**
 * The whole GPUs and FPGAs of a node by its `Gres=` of `scontrol show node`, such as `gpu:a100:4(S:0-1),fpga:u55c:1`.
 * Slurm does not say which is which, so that they are known by their number; it hands them out itself, and slices that
 * were made for it are left to it.
 */
export function gresCards(node: string, gres: string): Card[] {
  return readGres(gres.replaceAll(/\([^)]*\)/g, '')).flatMap(({ name, type, count }) => {
    if ((name !== 'gpu' && name !== 'fpga') || /^\d+g\.\d+gb/.test(type ?? '')) return []
    const fpga = name === 'fpga'
    const vendor = fpga
      ? 'xilinx.com'
      : /^(amd|instinct|mi\d|radeon)/i.test(type ?? '')
        ? 'amd.com'
        : 'nvidia.com'
    return Array.from({ length: Number.parseInt(count, 10) }, (_, index): Card => ({
      id: `${node}/${[name, type].filter(Boolean).join(':')}/${index}`,
      host: node,
      vendor,
      model: type ?? name,
      labels: {},
      paths: [],
      sharing: fpga ? { type: 'fpga', shell: 'unknown' } : { type: 'whole' }
    }))
  })
}
