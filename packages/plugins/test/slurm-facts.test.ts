import t from 'tap'
import { isUsable, parseGres, parseSinfo, secondsOf } from '../src/slurm/cluster-facts.ts'
import { Newest } from '../src/kit/newest.ts'
import { offeredResources } from '../src/slurm/offered-resources.ts'
import { completeOptions } from '../src/slurm/options.ts'
import { trialArgs } from '../src/slurm/trial-args.ts'
import { until } from './support-supervisor.ts'

const line = (...fields: string[]) => `${fields.join('|')}|`
const node = (
  name: string,
  gres: string,
  used = '(null)',
  { state = 'idle', partition = 'p*', up = 'up' } = {}
) => line(name, partition, up, '1-00:00:00', state, '2/6/0/8', '16000', '4000', gres, used)
const offered = (lines: readonly string[], options: object = {}) =>
  offeredResources(parseSinfo(lines.join('\n')), completeOptions(options))

t.test('nodes are counted once, with their devices, and partitions with their limits', async (t) => {
  const facts = parseSinfo(
    [
      node('n1', 'gpu:a100:4(S:0-1),shard:8', 'gpu:a100:1(IDX:0,2),shard:0', { state: 'mixed' }),
      line(
        'n1',
        'long',
        'up',
        'infinite',
        'mixed',
        '2/6/0/8',
        '16000',
        '4000',
        'gpu:a100:4',
        'gpu:a100:1(IDX:0)'
      ),
      line('n2', 'shut', 'inact', '5:00', 'idle', '0/64/0/64', '256000+', '0', '(null)', '(null)'),
      line('n3', 'long', 'up', 'infinite', 'down*', '0/0/64/64', '256000', '0', '(null)', 'N/A'),
      'slurm_load_node: a word of warning',
      ''
    ].join('\n')
  )
  t.match(facts.nodes, [
    { name: 'n1', state: 'mixed', open: true, cpus: 8, idleCpus: 6, memoryMiB: 16_000, allocatedMiB: 4000 },
    { name: 'n2', open: false, cpus: 64, memoryMiB: 256_000, gres: {} },
    { name: 'n3', state: 'down*', open: true, usedGres: {} }
  ])
  t.same(facts.nodes.map(isUsable), [true, false, false])
  t.strictSame(facts.partitions, [
    { name: 'p', default: true, open: true, nodes: 1, maxSeconds: 86_400 },
    { name: 'long', default: false, open: true, nodes: 2 },
    { name: 'shut', default: false, open: false, nodes: 1, maxSeconds: 300 }
  ])
})

t.test('devices and times are read as Slurm writes them', async (t) => {
  t.strictSame(parseGres('gpu:2'), { gpu: 2 })
  t.strictSame(parseGres('gpu:a100:no_consume:4,gpu:a100:2,license'), { 'gpu:a100': 6, license: 1 })
  t.strictSame(parseGres('craynetwork:4K'), { craynetwork: 4096 })
  t.strictSame(parseGres('(null)'), {})
  t.same(['1-02:03:04', '2:03:04', '3:04', 'infinite', 'n/a'].map(secondsOf), [
    93_784,
    7384,
    184,
    undefined,
    undefined
  ])
})

t.test('capacity counts what usable nodes have; the free hint what no job holds', async (t) => {
  t.strictSame(
    offered([
      node('n1', 'gpu:a100:4', 'gpu:a100:1(IDX:0)', { state: 'mixed' }),
      node('n2', 'gpu:h100:8', 'gpu:h100:0(IDX:N/A)')
    ]),
    {
      resources: {
        cpu: '16',
        memory: '32000Mi',
        accelerators: [
          { resourceType: 'nvidia.com/gpu', available: '12', free: '11', models: ['a100', 'h100'] }
        ],
        free: { cpu: '12', memory: '24000Mi' }
      },
      queues: [{ name: 'p', nodes: 2, maxSeconds: 86_400, default: true }]
    }
  )
  t.strictSame(offered([node('n1', '(null)', '', { state: 'drained' })]), {}, 'in doubt nothing is said')
})

t.test('devices are offered by the extended resources that pods ask for them with', async (t) => {
  const counts = (gres: string, options: object = {}) =>
    Object.fromEntries(
      (offered([node('n1', gres)], options).resources?.accelerators ?? []).map(
        ({ resourceType, available }) => [resourceType, available]
      )
    )
  t.strictSame(counts('gpu:2,gpu:1g.10gb:7,gpu:mi250:8,fpga:u250:1,shard:16'), {
    'nvidia.com/gpu': '2',
    'nvidia.com/mig-1g.10gb': '7',
    'amd.com/gpu': '8',
    'xilinx.com/fpga': '1'
  })
  t.strictSame(counts('gpu:big:3', { containers: { gpu: 'amd' } }), { 'amd.com/gpu': '3' })
  const extended = (map: object) => ({ batch: { resources: { extended: map } } })
  t.strictSame(
    counts(
      'gpu:a100:4,gpu:h100:2',
      extended({ 'nvidia.com/gpu': 'gpu:a100', 'nvidia.com/h100': '--gpus=h100:{count}' })
    ),
    { 'nvidia.com/gpu': '4', 'nvidia.com/h100': '2' }
  )
  t.strictSame(
    counts('gpu:h100:2', extended({ 'nvidia.com/gpu': 'gpu:a100' })),
    {},
    'no pod could ask for it'
  )
  t.strictSame(counts('card:x:2', extended({ 'example.com/card-*': 'card:*' })), {
    'example.com/card-x': '2'
  })
})

t.test('an answer that takes long or fails keeps nobody waiting', async (t) => {
  const waiting: ((value: number) => void)[] = []
  const errors: unknown[] = []
  let fails = false
  const newest = new Newest(
    () =>
      fails ? Promise.reject(new Error('away')) : new Promise<number>((resolve) => waiting.push(resolve)),
    0,
    (error) => errors.push(error)
  )
  t.equal(newest.get(), undefined)
  t.equal(newest.get(), undefined)
  t.equal(waiting.length, 1, 'one question at a time')
  waiting[0]!(7)
  await until(() => newest.value === 7, 'the first answer')
  fails = true
  t.equal(newest.get(), 7)
  await until(() => errors.length === 1, 'the failure')
  t.equal(newest.get(), 7, 'what was known last')
})

t.test('the test job of doctor has time for all who try to reach it, and no more than there is', (t) => {
  const { partitions } = parseSinfo(
    [node('n1', '(null)'), line('n1', 'short', 'up', '1:00', 'idle', '0/8/0/8', '16000', '0', '', '')].join(
      '\n'
    )
  )
  const timeOf = (lingerSeconds: number, flags?: string) => {
    const flavors = flags === undefined ? {} : { flavors: [{ name: 'own', flags }], defaultFlavor: 'own' }
    const args = trialArgs(completeOptions({ batch: flavors }), lingerSeconds, partitions)
    return args.filter((arg) => arg.startsWith('--time='))
  }
  t.same(timeOf(0), ['--time=1'])
  t.same(timeOf(60), ['--time=2'])
  t.same(timeOf(61), ['--time=3'])
  t.same(timeOf(60, '--partition=short'), ['--time=1'])
  t.same(timeOf(60, '--time=7'), ['--time=7'])
  t.end()
})
