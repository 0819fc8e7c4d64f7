import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { busybox, busyboxRoot } from '../support/image-root.ts'
import { kubectlUnavailable } from '../support/kubectl.ts'
import { onPath } from '../support/on-path.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { startSlurmCluster, stateOf } from './slurm-cluster.ts'

const call = promisify(execFile)
const example = new URL('../../examples/itwinai-3dgan.yaml', import.meta.url)

/** A .sif with bash, a directory of the project and a python that says what it sees. */
async function buildImage(dir: string): Promise<string> {
  const root = await busyboxRoot(join(dir, 'root'))
  const project = join(root, 'workspace/T6.5-AI-and-ML/use-cases/3dgan')
  await mkdir(project, { recursive: true })
  await writeFile(join(project, 'pipeline.yaml'), 'epochs: 1\n')
  const python = '#!/bin/sh\necho "$(pwd) $* on GPUs $CUDA_VISIBLE_DEVICES"\ncat pipeline.yaml\n'
  await writeFile(join(root, 'bin/python'), python, { mode: 0o755 })
  const { stdout } = await call('ldd', ['/bin/bash'])
  for (const file of ['/bin/bash', ...(stdout.match(/\/\S+(?= \()/g) ?? [])]) {
    await mkdir(join(root, dirname(file)), { recursive: true })
    await cp(file, join(root, file), { dereference: true })
  }
  const image = join(dir, 'cern.sif')
  await call(onPath('apptainer')!, ['--silent', 'build', image, root])
  return image
}

const missing = () =>
  slurmMissing() ??
  kubectlUnavailable() ??
  (busybox ? undefined : 'busybox is missing') ??
  (onPath('apptainer') ? undefined : 'Apptainer is missing')

t.test('the training of a 3D-GAN on four GPUs', async (t) => {
  if (!requireReal(t, missing())) return
  const directory = temporaryDirectory('itwinai')
  t.teardown(() => directory.remove())
  const image = await buildImage(directory.path)
  const lab = await startSlurmLab({
    nodes: 1,
    extra: ['PartitionName=long Nodes=ALL MaxTime=24:00:00 State=UP']
  })
  t.teardown(() => lab.close())
  const asItStands = await readFile(example, 'utf8')
  const given = /image: (\S+)/.exec(asItStands)![1]!
  const name = /^  name: (\S+)/m.exec(asItStands)![1]!
  const { apply, until, events, kubectl } = await startSlurmCluster(
    t,
    {
      conf: lab.env.SLURM_CONF,
      batch: {
        preamble: 'export APPTAINER_USERNS=1',
        flavors: [{ name: 'long', flags: '--partition=long' }],
        defaultFlavor: 'long'
      },
      containers: { tool: onPath('apptainer')! },
      images: { map: { [given]: image } }
    },
    'jul-vk'
  )
  const jobs = () => lab.run('squeue', '-h', '-t', 'all', '-o', '%j %a %l %b %T')

  await t.test(
    'as it stands it ends with 127, as under a kubelet, and an event warns of its quotes',
    async (t) => {
      await apply(asItStands)
      const status = await until(name, ({ phase }) => phase === 'Failed')
      t.match(stateOf(status, 'terminated'), { exitCode: 127, reason: 'Error' })
      t.match(
        (await kubectl(['logs', name])).stdout,
        /cd \/workspace\/\S+ && python .*: No such file or directory/
      )
      t.match(
        (await events(name)).join('\n'),
        /^Warning QuotedArgument spec\.containers\[0\]\.args\[1\]: is wrapped in quotes/m
      )
    }
  )

  await t.test('without its stray quotes, and its image by path, it trains', async (t) => {
    const mended = asItStands
      .replace(name, 'mended')
      .replace(given, image)
      .replace(/"'(cd .*)'"/, '"$1"')
    await apply(mended)
    await until('mended', ({ phase }) => phase === 'Succeeded')
    t.equal(
      (await kubectl(['logs', 'mended'])).stdout,
      '/workspace/T6.5-AI-and-ML/use-cases/3dgan train.py -p pipeline.yaml on GPUs 0,1,2,3\nepochs: 1\n'
    )
    t.notMatch((await events('mended')).join('\n'), /QuotedArgument/)
    t.match(
      await jobs(),
      /^itwinai intertwin 20:00:00 \S*gpu\S*4 COMPLETED$/m,
      'with the flags of its annotation'
    )
  })
})
