import t from 'tap'
import { offeredResources } from '../src/htcondor/offered-resources.ts'
import { plainCommand } from '../src/htcondor/htcondor-streams.ts'
import { parseSlots, statusArgv } from '../src/htcondor/slot-facts.ts'
import { ResourceOptions } from '../src/htcondor/resources.ts'
import { submitFailure } from '../src/htcondor/submit-failures.ts'
import { PluginError } from '../src/errors.ts'
import { Value } from 'typebox/value'
import { execFileSync } from 'node:child_process'

const options = (more: object = {}) => Value.Parse(ResourceOptions, Value.Default(ResourceOptions, more))
const partitionable = {
  Name: 'slot1@n1',
  PartitionableSlot: true,
  State: 'Unclaimed',
  TotalSlotCpus: 16,
  Cpus: 4,
  TotalSlotMemory: 64000,
  Memory: 1000,
  TotalSlotDisk: 5,
  MachineResources: 'Cpus Memory Disk Swap GPUs fpgas',
  TotalSlotGPUs: 4,
  GPUs: 3,
  TotalSlotfpgas: 2,
  fpgas: 2,
  GPUs_DeviceName: 'NVIDIA A100',
  HasSingularity: true
}
const fixed = { Name: 'slot2@n2', State: 'Claimed', Cpus: 2, Memory: 4000, MachineResources: 'Cpus Memory' }

t.test('a partitionable slot counts as a whole, what is given out of it is not free', async (t) => {
  const slots = parseSlots(JSON.stringify([partitionable, fixed]))
  t.match(offeredResources(slots, options()).resources, {
    cpu: '18',
    memory: '68000Mi',
    free: { cpu: '4', memory: '1000Mi' },
    accelerators: [
      { resourceType: 'nvidia.com/gpu', available: '4', free: '3', models: ['NVIDIA A100'] },
      { resourceType: 'xilinx.com/fpga', available: '2', free: '2' }
    ]
  })
  t.match(statusArgv({ pool: 'c:9618' }, 'Site == "x"').join(' '), /-pool c:9618 .* && \(Site == "x"\)$/)
})

t.test('the make of GPUs is that of their model, and a site may name them itself', async (t) => {
  const amd = parseSlots(JSON.stringify([{ ...partitionable, GPUs_DeviceName: 'AMD Instinct MI250X' }]))
  const names = (more = {}) =>
    offeredResources(amd, options(more)).resources?.accelerators?.map(({ resourceType }) => resourceType)
  t.same(names(), ['amd.com/gpu', 'xilinx.com/fpga'])
  t.same(names({ extended: { 'example.com/gpu': 'gpus' } }), ['example.com/gpu', 'xilinx.com/fpga'])
})

t.test('machines that are away or their owner’s offer nothing, and of none nothing is said', async (t) => {
  const away = [
    { ...partitionable, Offline: true },
    { ...fixed, State: 'Owner' }
  ]
  t.same(offeredResources(parseSlots(JSON.stringify(away)), options()), {})
  t.same(parseSlots(''), [])
})

t.test('a refusal of the queue is one for good, what is away is tried again', async (t) => {
  const ran = (stderr: string) => submitFailure({ code: 1, stdout: Buffer.alloc(0), stderr })
  t.ok(
    ran('ERROR: Failed to commit job submission into the queue.\nERROR: no such group') instanceof PluginError
  )
  for (const words of [
    "ERROR: Can't find address of local schedd",
    'ERROR: Failed to connect to local queue manager\nAUTHENTICATE:1003:Failed to authenticate',
    'ERROR: Number of submitted jobs would exceed MAX_JOBS_SUBMITTED',
    'ERROR: Failed to commit job submission into the queue.',
    'ERROR: Failed to create cluster',
    'ERROR: Failed submission for job 7.-1 - aborting entire submit'
  ])
    t.notOk(ran(words) instanceof PluginError, words)
  t.notOk(submitFailure({ stdout: Buffer.alloc(0), stderr: '' }) instanceof PluginError, 'a signal')
})

t.test('a command for condor_ssh_to_job is what no shell on the way changes', async (t) => {
  const words = ['printf', '%s|', 'a  b', '*', '?[x]', "it's", '"', '$HOME', 'line\nline # no', 'ö']
  const command = plainCommand(words)
  t.notMatch(command, /[*?[\n\\]| {2}/)
  t.equal(
    execFileSync('sh', ['-c', `eval ${'$'}C`], { env: { ...process.env, C: command } }).toString(),
    `${words.slice(2).join('|')}|`
  )
})
