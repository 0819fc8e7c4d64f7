import t from 'tap'
import fc from 'fast-check'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import { parseInventory } from '../src/kit/devices/inventory.ts'
import { geometryOf, migGeometries, type MigGeometry } from '../src/kit/devices/mig-geometry.ts'
import { bitCount, migPlacements, resourcesOf, shapeOf, type Placement } from '../src/kit/devices/shape.ts'

const card = (sharing: string, more = '') =>
  parseInventory(
    `cards:\n  - id: GPU-1\n    model: NVIDIA A100\n${more}    sharing: ${sharing}\n`,
    'cards.yaml'
  )[0]!

t.test('a card offers the names that pods ask for', async (t) => {
  const offers: readonly (readonly [string, readonly string[], string?])[] = [
    ['{ type: whole }', ['nvidia.com/gpu']],
    ['{ type: whole }', ['amd.com/gpu'], '    vendor: amd.com\n'],
    [
      '{ type: mig, geometry: a30-24gb }',
      ['mig-1g.6gb', 'mig-1g.6gb.me', 'mig-2g.12gb', 'mig-2g.12gb.me', 'mig-4g.24gb'].map(
        (name) => `nvidia.com/${name}`
      )
    ],
    [
      '{ type: mig, geometry: h200-141gb, instances: [{ profile: 3g.71gb, start: 4 }] }',
      ['nvidia.com/mig-3g.71gb']
    ],
    ['{ type: mdev, profile: GRID T4-1Q, typeId: nvidia-222, count: 16 }', ['nvidia.com/GRID_T4-1Q']],
    ["{ type: sriov, functions: ['0000:3b:00.4', '0000:3b:00.5'] }", ['nvidia.com/gpu-vf']],
    [
      '{ type: timeslice, replicas: 4, memoryMiB: 9000, mps: { pipeDirectory: /run/mps } }',
      ['nvidia.com/gpu.shared']
    ],
    [
      "{ type: fpga, shell: xilinx_u55c_gen3x16_xdma_base_3, user: '0000:af:00.1' }",
      ['xilinx.com/fpga'],
      '    vendor: xilinx.com\n'
    ]
  ]
  for (const [sharing, names, more] of offers) t.same(resourcesOf(card(sharing, more)), names, sharing)
})

t.test('cards that are shared alike have one shape', async (t) => {
  const shape = (sharing: string) => shapeOf(card(sharing))
  t.equal(shape('{ type: mig, geometry: a100-40gb }'), shape('{ type: mig, geometry: a100-40gb }'))
  t.not(shape('{ type: mig, geometry: a100-40gb }'), shape('{ type: mig, geometry: a100-80gb }'))
  t.equal(shape('{ type: timeslice, replicas: 8 }').placements.get('nvidia.com/gpu.shared')!.length, 8)
})

t.test('what is wrong in an inventory is told by line and key, with what to write', async (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{ type: half }', /^cards\.yaml:4: cards\[0\]\.sharing\.type: expected "whole" or "mig" or/],
    [
      '{ type: whole, replicas: 2 }',
      /^cards\.yaml:4: cards\[0\]\.sharing\.replicas: there is no such key; expected type, geometry$/
    ],
    ['{ type: timeslice }', /sharing\.replicas: expected a value, found nothing$/],
    ['{ type: timeslice, replicas: 40 }', /sharing\.replicas: expected <= 31, found a number$/],
    [
      '{ type: timeslice, replicas: 2, memoryMiB: 5 }',
      /sharing\.memoryMiB: nothing keeps this cap without MPS; add sharing\.mps/
    ],
    [
      '{ type: mig, geometry: a100 }',
      /sharing\.geometry: there is no such geometry; expected one of a100-40gb,/
    ],
    [
      '{ type: mig, geometry: a30-24gb, instances: [{ profile: 3g.20gb, start: 0 }] }',
      /instances\.0\.profile: a30-24gb has no such profile; expected one of 1g\.6gb,/
    ],
    [
      '{ type: mig, geometry: a30-24gb, instances: [{ profile: 2g.12gb, start: 1 }] }',
      /instances\.0\.start: 2g\.12gb begins at 0, 2$/
    ],
    [
      '{ type: mig, geometry: a30-24gb, instances: [{ profile: 2g.12gb, start: 0 }, { profile: 1g.6gb, start: 1 }] }',
      /instances\.1: overlaps an instance before it/
    ],
    [
      '{ type: mig, geometry: a30-24gb, instances: [{ profile: 1g.6gb+me, start: 0 }, { profile: 1g.6gb+me, start: 1 }] }',
      /instances\.1: the media engines are in an instance before it/
    ],
    ['{ type: fpga, shell: x, user: af:00.1 }', /sharing\.user: expected a PCI address such as 0000:3b:00\.0/]
  ]
  for (const [sharing, words] of wrong)
    t.throws(() => card(sharing), { code: 'IL_CONFIG', message: words }, sharing)
  t.throws(
    () => parseInventory('cards:\n  - { id: a, model: x }\n  - { id: a, model: y }\n', 'c.yaml'),
    new ConfigError(
      'c.yaml:3: cards[1].id: cards[0] has it already; give each card its own UUID or serial number'
    )
  )
})

/** Layouts to which nothing can be added, by trying everything; the rules alone decide, no tables of the product. */
function maximalLayouts(placements: readonly Placement[]): Placement[][] {
  const found = new Map<string, Placement[]>()
  const walk = (layout: Placement[], taken: number) => {
    const more = placements.filter(({ mask }) => (mask & taken) === 0)
    if (more.length === 0) found.set(layout.map(nameOf).sort().join(), layout)
    const last = layout.at(-1)?.start ?? -1
    for (const next of more) if (next.start > last) walk([...layout, next], taken | next.mask)
  }
  walk([], 0)
  return [...found.values()]
}
const nameOf = ({ profile, start }: Placement) => `${profile}@${start}`
const multisets = (layouts: readonly Placement[][]) =>
  new Set(
    layouts.map((layout) =>
      layout
        .map(({ profile }) => profile)
        .sort()
        .join()
    )
  ).size

t.test('the geometries give as many layouts as NVIDIA publishes', async (t) => {
  for (const geometry of migGeometries.values()) {
    const plain = migPlacements(geometry, 'nvidia.com').filter(({ profile }) => !profile!.endsWith('+me'))
    if (geometry.memorySlices === 4) {
      t.equal(maximalLayouts(plain).length, 5, geometry.name)
      continue
    }
    const double = geometry.profiles.find(({ id }) => id === 15)!.name
    const published = maximalLayouts(plain.filter(({ profile }) => profile !== double))
    t.equal(published.length, 19, `${geometry.name}: the figure of the MIG user guide`)
    t.equal(multisets(published), 14)
    t.equal(maximalLayouts(plain).length, 78)
    t.equal(multisets(maximalLayouts(plain)), 38)
  }
})

const anyLayout = (geometry: MigGeometry) =>
  fc.array(fc.nat(), { minLength: 1, maxLength: 30 }).map((choices) => {
    const all = migPlacements(geometry, 'nvidia.com')
    const layout: Placement[] = []
    for (const choice of choices) {
      const taken = layout.reduce((bits, { mask }) => bits | mask, 0)
      const open = all.filter(({ mask }) => (mask & taken) === 0)
      if (open.length > 0) layout.push(open[choice % open.length]!)
    }
    return layout
  })

t.test('no layout that the bits allow breaks a rule of the card', async () => {
  for (const geometry of migGeometries.values())
    fc.assert(
      fc.property(anyLayout(geometry), (layout) => {
        const slices = layout.flatMap(({ start, size }) =>
          Array.from({ length: size }, (_, at) => start + at)
        )
        const profiles = layout.map(({ profile }) => geometry.profiles.find(({ name }) => name === profile)!)
        return (
          new Set(slices).size === slices.length &&
          Math.max(...slices) < geometry.memorySlices &&
          profiles.reduce((sum, { compute }) => sum + compute, 0) <= geometry.computeSlices &&
          profiles.filter(({ media }) => media).length <= 1 &&
          layout.every(({ mask, size }, at) => bitCount(mask) === size + (profiles[at]!.media ? 1 : 0))
        )
      }),
      { numRuns: 2000 }
    )
})

t.test('the geometry of a card is known by its PCI id, or else by its name', async (t) => {
  const known: readonly (readonly [Parameters<typeof geometryOf>[0], string | undefined])[] = [
    [{ model: 'NVIDIA A100-SXM4-40GB' }, 'a100-40gb'],
    [{ model: 'NVIDIA A100-SXM4-80GB' }, 'a100-80gb'],
    [{ model: 'NVIDIA A100 PCIe', memoryMiB: 81_920 }, 'a100-80gb'],
    [{ model: 'anything', deviceId: '20B7' }, 'a30-24gb'],
    [{ model: 'NVIDIA H100 80GB HBM3' }, 'h100-80gb'],
    [{ model: 'NVIDIA H100 NVL' }, undefined],
    [{ model: 'NVIDIA H200' }, 'h200-141gb'],
    [{ model: 'Tesla T4' }, undefined]
  ]
  for (const [about, name] of known) t.equal(geometryOf(about)?.name, name, about.model)
})
