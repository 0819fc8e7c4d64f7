import { join } from 'node:path'
import t from 'tap'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { busyboxRoot } from '../support/image-root.ts'
import { onPath } from '../support/on-path.ts'
import { eachSlurm } from './each-slurm.ts'
import { isOver, logOf, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'

const tool = onPath('apptainer')

eachSlurm(
  t,
  (prefix) => slurmMissing(prefix) ?? (tool ? undefined : 'Apptainer is missing'),
  async (t, prefix) => {
    const lab = await startSlurmLab({ prefix })
    t.teardown(() => lab.close())
    const image = await busyboxRoot(join(lab.dir, 'image'))
    const options = { containers: { tool, options: ['--userns'] } }

    t.test('a pod with mpi-flags runs its ranks in its image on all nodes of its job', async (t) => {
      const { client } = await startSlurmPlugin(t, lab, undefined, options)
      const pod = scriptPod('', {
        annotations: {
          'slurm-job.vk.io/flags': '--nodes=2 --ntasks=4 --ntasks-per-node=2',
          'slurm-job.vk.io/mpi-flags': '--mpi=none --label'
        },
        container: {
          image,
          command: ['/bin/sh', '-c', 'echo "$SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME: $GREETING"'],
          env: [{ name: 'GREETING', value: 'a $(b) c' }]
        }
      })
      await client.create(pod)
      const over = await whenStatus(client, pod, isOver)
      t.equal(over.containers[0]!.state!.terminated!.exitCode, 0, await logOf(client, pod))
      const nodes = ['n1', 'n1', 'n2', 'n2']
      t.same(
        (await logOf(client, pod)).trim().split('\n').sort(),
        nodes.map((node, rank) => `${rank}: ${rank} of 4 on ${node}: a $(b) c`)
      )
    })

    t.test('a rank that fails ends the others and the pod', async (t) => {
      const { client } = await startSlurmPlugin(t, lab, undefined, options)
      const pod = scriptPod('', {
        annotations: {
          'slurm-job.vk.io/flags': '--nodes=2 --ntasks=2',
          'slurm-job.vk.io/mpi-flags': '--mpi=none'
        },
        container: { image, command: ['/bin/sh', '-c', '[ "$SLURM_PROCID" = 0 ] || exit 5; sleep 600'] }
      })
      await client.create(pod)
      const over = await whenStatus(client, pod, isOver)
      t.not(over.containers[0]!.state!.terminated!.exitCode, 0, 'the highest one of all ranks, srun(1)')
      t.match(await logOf(client, pod), /Exited with exit code 5/)
    })
  }
)
