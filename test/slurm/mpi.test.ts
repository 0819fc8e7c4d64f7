import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { busyboxRoot } from '../support/image-root.ts'
import { onPath } from '../support/on-path.ts'
import { eachSlurm } from './each-slurm.ts'
import { isOver, isRunning, logOf, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'

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

    t.test('exec joins the ranks on the first node of their job, in their image', async (t) => {
      const { client } = await startSlurmPlugin(t, lab, undefined, options)
      const pod = scriptPod('', {
        annotations: {
          'slurm-job.vk.io/flags': '--nodes=2 --ntasks=2',
          'slurm-job.vk.io/mpi-flags': '--mpi=none --label'
        },
        container: {
          image,
          command: ['/bin/sh', '-c', 'echo "on $SLURMD_NODENAME"; exec sleep 1000'],
          env: [{ name: 'GREETING', value: 'hello' }]
        }
      })
      await client.create(pod)
      await whenStatus(client, pod, isRunning)
      await eventually(async () => (await logOf(client, pod)).split('\n').length > 2)
      const script = 'echo "$GREETING"; [ -e /etc/debian_version ] || echo of the image; ps'
      const command = ['/bin/sh', '-c', script]
      const session = await client.stream(pod.pod.metadata.uid!, {
        ...{ kind: 'exec', container: 'main', command, stdin: false, tty: false }
      })
      const said = await text(session.output)
      t.match(said, /^hello\nof the image\n/)
      t.match(said, /sleep 1000/, 'it sees the ranks that are there')
      t.same((await session.status).status, 'Success')
      t.match(await lab.run('squeue', '-h', '-s', '-o', '%j %N'), /^interlink-streams n1$/m)
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
