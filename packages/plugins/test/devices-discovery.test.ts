import t, { type Test } from 'tap'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { incusCards, type IncusResources } from '../src/kit/devices/discovery/incus-resources.ts'
import { nvidiaCards, pciAddress } from '../src/kit/devices/discovery/nvidia-smi.ts'
import { mergeCards, scanPci, sysfsCards } from '../src/kit/devices/discovery/sysfs.ts'
import { xbutilCards } from '../src/kit/devices/discovery/xbutil.ts'
import { parseXml } from '../src/kit/devices/discovery/xml.ts'
import { parseInventory } from '../src/kit/devices/inventory.ts'

const fixture = (name: string) =>
  readFile(fileURLToPath(new URL(`fixtures/devices/${name}`, import.meta.url)), 'utf8')

const nvidia = async () => ({
  query: await fixture('nvidia-smi-query.xml'),
  list: await fixture('nvidia-smi-list.txt'),
  instances: await fixture('nvidia-smi-mig-lgi.txt'),
  profiles: await fixture('nvidia-smi-mig-lgip.txt'),
  placements: await fixture('nvidia-smi-mig-lgipp.txt')
})

t.test('nvidia-smi tells cards, what is cut from them, and how they could be cut', async (t) => {
  const { cards, notices } = nvidiaCards(await nvidia(), 'h0')
  t.same(notices, [])
  const [cut, whole, old] = cards
  t.match(cut, {
    id: 'GPU-5c2a4f1e-0a4b-9d33-8a57-1f2e3d4c5b6a',
    host: 'h0',
    pci: '0000:3b:00.0',
    memoryMiB: 40960,
    serial: '1560221014674',
    paths: ['/dev/nvidia0', '/dev/nvidiactl']
  })
  t.same(cut!.sharing, {
    type: 'mig',
    geometry: 'a100-40gb',
    instances: [
      { profile: '1g.5gb', start: 2, uuid: 'MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb' },
      { profile: '1g.5gb', start: 3, uuid: 'MIG-1e624c9a-f3c2-5f3e-b6d7-9b2a9cda4ba9' },
      { profile: '3g.20gb', start: 4, uuid: 'MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f' }
    ]
  })
  t.same(whole!.sharing, { type: 'whole', geometry: 'a100-40gb' })
  t.same(old!.sharing, { type: 'whole' }, 'a T4 knows no MIG')
  t.equal(old!.serial, undefined)
  t.same(parseInventory(JSON.stringify({ cards }), 'found'), cards, 'what is found is an inventory')
})

t.test('what a card says of itself goes before the tables', async (t) => {
  const said = await nvidia()
  const placements = said.placements.replace('{0,4}:4', '{0}:4')
  const { cards, notices } = nvidiaCards({ ...said, placements }, 'h0')
  t.match(notices, [
    /^GPU 0: its MIG profiles are none that are known \(1g\.5gb, /,
    /MIG is on, and the geometry/
  ])
  t.notOk(
    cards.some(({ pci }) => pci === '0000:3b:00.0'),
    'nothing is lent of a card that is not understood'
  )
  t.equal(
    nvidiaCards({ query: said.query }, 'h0').cards.length,
    3,
    'the query alone is enough for the tables'
  )
})

t.test('a card on which MIG is on and nothing is cut yet is cut as it is asked for', async (t) => {
  const { query } = await nvidia()
  const { cards } = nvidiaCards({ query }, 'h0')
  t.same(cards[0]!.sharing, { type: 'mig', geometry: 'a100-40gb' })
})

t.test('output that is cut off is an error, not fewer cards', async (t) => {
  const { query } = await nvidia()
  t.throws(() => nvidiaCards({ query: query.slice(0, query.length / 2) }, 'h0'), SyntaxError)
  t.throws(
    () => parseXml('NVIDIA-SMI has failed because it could not communicate with the driver'),
    SyntaxError
  )
  t.throws(() => parseXml('<a></b>'), SyntaxError)
  t.same(parseXml('<?xml version="1.0"?><!DOCTYPE a><a b="1 &lt; 2"><c/>x &amp; y</a>'), {
    name: 'a',
    attributes: { b: '1 < 2' },
    children: [{ name: 'c', attributes: {}, children: [], text: '' }],
    text: 'x & y'
  })
})

t.test('PCI addresses of every writing are one', async (t) => {
  t.equal(pciAddress('00000000:3B:00.0'), '0000:3b:00.0')
  t.equal(pciAddress('0000:3b:00.1'), '0000:3b:00.1')
  t.equal(pciAddress('3b:00'), undefined)
})

/** A tree as sysfs has it, with files and links. */
async function sysfs(t: Test, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'interlink-sysfs-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    const at = join(root, 'sys/bus/pci/devices', path)
    await mkdir(dirname(at), { recursive: true })
    if (text.startsWith('-> ')) await symlink(text.slice(3), at)
    else await writeFile(at, `${text}\n`)
  }
  return root
}
const pciDevice = (address: string, vendor: string, device: string, pciClass: string, numa = '0') => ({
  [`${address}/vendor`]: `0x${vendor}`,
  [`${address}/device`]: `0x${device}`,
  [`${address}/class`]: `0x${pciClass}`,
  [`${address}/numa_node`]: numa
})

t.test('sysfs tells GPUs, virtual functions and FPGAs, and nothing else', async (t) => {
  const root = await sysfs(t, {
    ...pciDevice('0000:3b:00.0', '10de', '2335', '030200', '1'),
    '0000:3b:00.0/drm/card0/dev': '226:0',
    '0000:3b:00.0/drm/renderD128/dev': '226:128',
    ...pciDevice('0000:3b:00.1', '10de', '228e', '040300'),
    ...pciDevice('0000:4d:00.0', '8086', '56c0', '038000', '-1'),
    '0000:4d:00.0/virtfn0': '-> ../0000:4d:00.1',
    '0000:4d:00.0/virtfn1': '-> ../0000:4d:00.2',
    ...pciDevice('0000:4d:00.1', '8086', '56c0', '038000'),
    '0000:4d:00.1/physfn': '-> ../0000:4d:00.0',
    ...pciDevice('0000:4d:00.2', '8086', '56c0', '038000'),
    '0000:4d:00.2/physfn': '-> ../0000:4d:00.0',
    ...pciDevice('0000:af:00.0', '10ee', '505c', '120000'),
    ...pciDevice('0000:af:00.1', '10ee', '505d', '120000'),
    '0000:af:00.1/rom.u.0/VBNV': 'xilinx_u55c_gen3x16_xdma_base_3',
    '0000:af:00.1/xmc.u.19922944/serial_num': 'XFL1QOQ1ATTY',
    '0000:af:00.1/drm/renderD129/dev': '226:129',
    ...pciDevice('0000:00:1f.6', '8086', '15fb', '020000')
  })
  const cards = sysfsCards(await scanPci(root), 'h0')
  t.same(
    cards.map(({ id, sharing, numa }) => [id, sharing, numa]),
    [
      ['h0/0000:3b:00.0', { type: 'whole', geometry: 'h200-141gb' }, 1],
      ['h0/0000:4d:00.0', { type: 'sriov', functions: ['0000:4d:00.1', '0000:4d:00.2'] }, undefined],
      [
        'XFL1QOQ1ATTY',
        {
          type: 'fpga',
          shell: 'xilinx_u55c_gen3x16_xdma_base_3',
          user: '0000:af:00.1',
          management: '0000:af:00.0',
          renderNode: '/dev/dri/renderD129'
        },
        0
      ]
    ]
  )
  t.equal(cards[2]!.model, 'U55C')
  t.same(cards[0]!.paths, ['/dev/dri/card0', '/dev/dri/renderD128'])
  t.same(await scanPci('/nowhere'), [])
  await rm(join(root, 'sys/bus/pci/devices/0000:3b:00.0'), { recursive: true })
  t.equal(sysfsCards(await scanPci(root), 'h0').length, 2, 'a device that is pulled out is gone')
})

t.test('what nvidia-smi says of an address goes before sysfs, which adds the NUMA node', async (t) => {
  const root = await sysfs(t, pciDevice('0000:3b:00.0', '10de', '20b0', '030200', '1'))
  const { cards } = nvidiaCards(await nvidia(), 'h0')
  const merged = mergeCards(cards, sysfsCards(await scanPci(root), 'h0'))
  t.equal(merged.length, 3)
  t.match(merged[0], { numa: 1, sharing: { type: 'mig' }, id: cards[0]!.id })
})

t.test('xbutil tells two cards of one shell apart, and what is not ready', async (t) => {
  const { cards, notices } = xbutilCards(await fixture('xbutil-examine.json'), 'h0')
  t.same(
    cards.map(({ id, model }) => [id, model]),
    [
      ['XFL1QOQ1ATTY', 'U55C'],
      ['h0/0000:d8:00.1', 'U55C']
    ]
  )
  t.match(cards[0], {
    labels: { 'interlink.io/fpga-shell': 'xilinx_u55c_gen3x16_xdma_base_3', 'interlink.io/xrt': '2.18.179' },
    paths: ['/dev/dri/renderD130'],
    sharing: { type: 'fpga', management: '0000:af:00.0' }
  })
  t.match(notices, [/^0000:d9:00\.1: xilinx_u250_\S+ is not ready/])
  t.same(parseInventory(JSON.stringify({ cards }), 'found'), cards)
})

t.test('an Incus server tells GPUs, vGPUs of the type in use, and FPGAs', async (t) => {
  const cards = incusCards(JSON.parse(await fixture('incus-resources.json')) as IncusResources, 'site2')
  t.match(cards, [
    {
      id: 'GPU-11111111-2222-3333-4444-555555555555',
      host: 'site2',
      model: 'NVIDIA H200',
      sharing: { type: 'whole', geometry: 'h200-141gb' },
      paths: ['/dev/dri/card0', '/dev/dri/renderD128', '/dev/nvidia0']
    },
    {
      id: 'site2/0000:5e:00.0',
      sharing: { type: 'mdev', profile: 'GRID T4-1Q', typeId: 'nvidia-222', count: 16 }
    },
    { model: 'U55C', vendor: 'xilinx.com', sharing: { type: 'fpga', user: '0000:af:00.1' } }
  ])
  t.equal(cards.length, 3)
  t.same(parseInventory(JSON.stringify({ cards }), 'found'), cards)
  t.same(incusCards({ gpu: { cards: [] } }, 'empty'), [])
})
