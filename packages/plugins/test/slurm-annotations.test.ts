import t from 'tap'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { ImageOptions } from '../src/kit/containers/images.ts'
import { ContainerOptionsSchema, renderLaunches } from '../src/slurm/launch.ts'
import { planOf } from './support-plan.ts'

const schema = Type.Object({ images: ImageOptions, containers: ContainerOptionsSchema })

/** What one annotation of the reference comes to, by its name behind the prefix. */
function rendered(own: string, value: string, containers: object = {}) {
  const options = Value.Parse(schema, Value.Default(schema, { images: {}, containers }))
  const plan = planOf({
    annotations: { [`slurm-job.vk.io/${own}`]: value },
    container: { image: 'a/b:1', command: ['true'] }
  })
  const answer = renderLaunches(plan, '/jobs/one', options)
  return 'refusals' in answer
    ? { refusals: answer.refusals }
    : {
        run: [...(answer.launches.main!.outer?.start ?? []), ...answer.launches.main!.run],
        notices: answer.notices
      }
}
const policy = { binds: ['/scratch'] }

t.test(
  'options and mounts of Apptainer are those of the container, as far as the site opens them',
  async (t) => {
    const mounts = '--bind /scratch/in:/in:ro'
    t.ok(
      rendered('singularity-mounts', mounts, { policy }).run!.join(' ').includes('--bind /scratch/in:/in:ro')
    )
    t.match(rendered('singularity-mounts', mounts).refusals, [
      { field: 'metadata.annotations[slurm-job.vk.io/singularity-mounts]', message: /may bind nothing/ }
    ])
    t.ok(rendered('singularity-options', '--nv --env A=b').run!.join(' ').includes('--nv --env A=b'))
    t.match(rendered('singularity-options', '--overlay /x').refusals, [
      { message: /--overlay is not allowed/ }
    ])
  }
)

t.test('those of Enroot are too, where that runs containers', async (t) => {
  const enroot = { runtime: 'enroot', policy }
  const run = (own: string, value: string) => rendered(own, value, enroot)
  t.ok(run('enroot-mounts', '--mount /scratch/in:/in').run!.join(' ').includes('--mount /scratch/in:/in'))
  t.ok(run('enroot-options', '-r -w').run!.join(' ').includes('--root --rw'))
  t.match(run('enroot-mounts', '-m /etc:/etc').refusals, [
    { message: /--mount \/etc:\/etc: pods .* \/scratch/ }
  ])
  t.match(run('enroot-options', '--rc /x').refusals, [{ message: /--rc is not allowed/ }])
  t.match(run('enroot-options', 'bogus').refusals, [{ message: /"bogus" is no option of Enroot/ }])
})

t.test('options for a runtime that the site does not use are told', async (t) => {
  const not = (own: string, runtime: string) => rendered(own, '--rw', { runtime }).notices
  t.match(not('enroot-options', 'apptainer'), [
    { reason: 'AnnotationNotRead', message: /run by apptainer here/ }
  ])
  t.match(not('singularity-options', 'pyxis'), [
    { reason: 'AnnotationNotRead', message: /run by pyxis here/ }
  ])
})

t.test('an image root stands before names, mpi-flags before commands', async (t) => {
  t.ok(rendered('image-root', 'oras://reg.org/x').run!.includes('oras://reg.org/x/a/b:1'))
  t.match(
    rendered('mpi-flags', '--ntasks=4').run!.join(' '),
    /srun --kill-on-bad-exit=1 --ntasks=4 \S+ \S+\/rank.sh APPTAINERENV_ apptainer/
  )
})

t.test('what would be lost in silence is refused, what never did anything is told', async (t) => {
  for (const own of ['job-workdir', 'no-clean-workdir', 'nfs-mode', 'nfs-bridge-path'])
    t.match(rendered(own, 'x').refusals, [
      { field: `metadata.annotations[slurm-job.vk.io/${own}]`, message: /remove it, and .* hostPath/ }
    ])
  t.match(rendered('singularity-commands', 'x').notices, [{ message: /no plugin reads it/ }])
  t.match(rendered('falvor', 'x').notices, [{ message: /falvor: known are flags, flavor/ }])
})
