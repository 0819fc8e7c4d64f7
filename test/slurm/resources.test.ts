import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eachSlurm } from './each-slurm.ts'
import { isOver, logOf, scriptPod, startSlurmPlugin, whenStatus, type ScriptPod } from './slurm-plugin.ts'

/** As scontrol(1) has it: 22.05 with a colon, later ones with a slash. */
const gres = (text: string) => new RegExp(`^gres[:/]${text}$`)

eachSlurm(t, slurmMissing, async (t, prefix) => {
  const lab = await startSlurmLab({
    prefix,
    nodes: 1,
    devices: ['gpu:h100:2', 'gpu:1g.10gb:2', 'fpga:u250:1'],
    attributes: 'TmpDisk=50000 Feature=avx512,ib'
  })
  t.teardown(() => lab.close())
  const options = {
    batch: {
      flavors: [{ name: 'cpu', flags: '--partition=debug --time=5', cpus: 2, memory: '1G' }],
      defaultFlavor: 'cpu',
      resources: {
        models: [{ key: 'nvidia-gpu-type', resource: 'nvidia.com/gpu' }, { key: 'cpu-type' }]
      }
    }
  }
  const { client } = await startSlurmPlugin(t, lab, undefined, options)
  /** The fields of scontrol(1) show job, and what the job printed. */
  const run = async (given: ScriptPod) => {
    const pod = scriptPod('env | grep -E "^(CUDA_VISIBLE|SLURM_CPUS_PER_TASK)" | sort', given)
    const { PodJID } = await client.create(pod)
    t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 0)
    const fields = (await lab.run('scontrol', '-o', 'show', 'job', PodJID)).trim().split(/ +/)
    return {
      job: Object.fromEntries(fields.map((field) => field.split(/=(.*)/s))) as Record<string, string>,
      log: await logOf(client, pod)
    }
  }

  t.test('what a pod requests is what Slurm gives the job', async (t) => {
    const { job, log } = await run({
      spec: {
        activeDeadlineSeconds: 600,
        terminationGracePeriodSeconds: 30,
        nodeSelector: { 'cpu-type': 'avx512' }
      },
      container: {
        resources: {
          limits: { cpu: '2500m', memory: '2Gi', 'ephemeral-storage': '10Gi', 'nvidia.com/mig-1g.10gb': '1' }
        }
      }
    })
    t.match(job, {
      'CPUs/Task': '3',
      MinMemoryNode: '2G',
      MinTmpDiskNode: '10G',
      TresPerNode: gres('gpu:1g.10gb:1'),
      Features: 'avx512',
      TimeLimit: '00:05:00'
    })
    t.match(log, /^CUDA_VISIBLE_DEVICES=\d\n/)
  })

  t.test('a GPU of the model that the pod selects, by label or by toleration', async (t) => {
    const asking = { resources: { limits: { 'nvidia.com/gpu': '2' } } }
    for (const spec of [
      { nodeSelector: { 'nvidia-gpu-type': 'H100' } },
      { tolerations: [{ key: 'nvidia-gpu-type', value: 'h100', effect: 'NoSchedule' }] }
    ]) {
      const { job, log } = await run({ spec, container: asking })
      t.match(job, { TresPerNode: gres('gpu:h100:2') })
      t.match(log, /^CUDA_VISIBLE_DEVICES=\d,\d\n/)
    }
  })

  t.test('weakest first: the flavor, the annotation, what the pod requests', async (t) => {
    t.match((await run({})).job, { 'CPUs/Task': '2', MinMemoryNode: '1G', TimeLimit: '00:05:00' })
    const annotations = { 'slurm-job.vk.io/flags': '--time=7 --cpus-per-task=4 --mem=3G --gres=gpu:a100:1' }
    t.match((await run({ annotations })).job, {
      'CPUs/Task': '4',
      MinMemoryNode: '3G',
      TimeLimit: '00:07:00',
      TresPerNode: gres('gpu:a100:1')
    })
    const limits = { cpu: '1', memory: '512Mi', 'nvidia.com/gpu': '1' }
    t.match((await run({ annotations, container: { resources: { limits } } })).job, {
      'CPUs/Task': '1',
      MinMemoryNode: '512M',
      TimeLimit: '00:07:00',
      TresPerNode: gres('gpu:a100:1')
    })
  })

  t.test('the ping offers devices by the names that pods use, and says what is free', async (t) => {
    await lab.run(
      'sbatch',
      '--parsable',
      '--output=/dev/null',
      '--gres=gpu:h100:1',
      '--mem=100',
      '--wrap=sleep 600'
    )
    const running = () => lab.run('squeue', '-h', '-t', 'running', '-o', '%A')
    await eventually(async () => (await running()) !== '')
    // A plugin of its own, as facts are kept for a minute.
    const { client } = await startSlurmPlugin(t, lab)
    const resources = await eventually(async () => (await client.ping()).parsed?.resources)
    t.strictSame(resources.accelerators, [
      { resourceType: 'nvidia.com/gpu', available: '6', free: '5', models: ['a100', 'h100'] },
      { resourceType: 'nvidia.com/mig-1g.10gb', available: '2', free: '2' },
      { resourceType: 'xilinx.com/fpga', available: '1', free: '1', models: ['u250'] }
    ])
    t.match(resources.free, { memory: '15900Mi' })
  })

  t.test(
    'a site that names a resource for each type offers each, and a pod gets the one it asks for',
    async (t) => {
      const extended = { 'nvidia.com/h100': 'gpu:h100', 'nvidia.com/a100': 'gpu:a100' }
      const { client } = await startSlurmPlugin(t, lab, undefined, { batch: { resources: { extended } } })
      const resources = await eventually(async () => (await client.ping()).parsed?.resources)
      t.match(resources.accelerators, [
        { resourceType: 'nvidia.com/a100', available: '4', models: ['a100'] },
        { resourceType: 'nvidia.com/h100', available: '2', models: ['h100'] },
        { resourceType: 'nvidia.com/mig-1g.10gb' },
        { resourceType: 'xilinx.com/fpga' }
      ])
      const pod = scriptPod('echo "has $CUDA_VISIBLE_DEVICES"', {
        container: { resources: { limits: { 'nvidia.com/h100': '1' } } }
      })
      const { PodJID } = await client.create(pod)
      t.match(await lab.run('scontrol', '-o', 'show', 'job', PodJID), /TresPerNode=gres[:/]gpu:h100:1\b/)
      t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 0)
      t.match(await logOf(client, pod), /^has \d\n/)
    }
  )
})
