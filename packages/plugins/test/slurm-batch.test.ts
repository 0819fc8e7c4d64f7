import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { pullScript } from '../src/kit/containers/pull-script.ts'
import { BatchOptions, renderBatch } from '../src/slurm/batch-script.ts'
import { ImageOptions } from '../src/kit/containers/images.ts'
import { ContainerOptionsSchema, renderLaunches } from '../src/slurm/launch.ts'
import { planOf, type Given } from './support-plan.ts'
import { until } from './support-supervisor.ts'

const call = promisify(execFile)
const schema = Type.Object({ batch: BatchOptions, images: ImageOptions, containers: ContainerOptionsSchema })
const optionsOf = (value: object = {}) => Value.Parse(schema, Value.Default(schema, value))
const dir = '/jobs/default-uid'
const batch = (given: Given, options: object = {}) =>
  renderBatch({ plan: planOf(given), dir }, optionsOf({ batch: options }).batch)
const args = (given: Given, options: object = {}) => {
  const { args, refusals } = batch(given, options)
  if (refusals.length > 0) throw new Error(JSON.stringify(refusals))
  return args.filter((arg) => !/^--(job-name|comment|no-requeue|output|open-mode|signal)\b/.test(arg))
}
const flags = (text: string) => ({ 'slurm-job.vk.io/flags': text })
const asking = (limits: Record<string, string>) => ({ resources: { limits } })

t.test('every job has a name, the mark it is found by, and the signal before its end', async (t) => {
  t.same(batch({ spec: { terminationGracePeriodSeconds: 100 } }).args, [
    '--job-name=default-pod',
    '--comment=6b2e0d0c-1111-4222-8333-944455556666',
    '--no-requeue',
    '--output=/jobs/default-uid/job.out',
    '--open-mode=append',
    '--signal=B:TERM@130'
  ])
})

t.test('the effective request becomes cpus, memory, local disk and devices', async (t) => {
  t.same(args({}), [], 'what is not asked for is left to the partition')
  t.same(
    args({
      container: asking({
        cpu: '1500m',
        memory: '100M',
        'ephemeral-storage': '1Gi',
        'nvidia.com/gpu': '2',
        'nvidia.com/mig-1g.10gb': '1',
        'xilinx.com/fpga': '1'
      })
    }),
    ['--cpus-per-task=2', '--mem=96M', '--tmp=1024M', '--gres=gpu:2,gpu:1g.10gb:1,fpga:1']
  )
  t.same(
    args(
      { container: asking({ 'nvidia.com/gpu': '2', 'site.org/matlab': '3' }) },
      {
        resources: { extended: { 'nvidia.com/gpu': '--gpus={count}', 'site.org/*': '--licenses=*:{count}' } }
      }
    ),
    ['--gpus=2', '--licenses=matlab:3']
  )
  t.match(batch({ container: asking({ 'quantum.org/qpu': '1' }) }).refusals, [
    { field: 'resources.limits[quantum.org/qpu]', message: /give it one in/ }
  ])
})

t.test('the model a pod selects becomes a type or a constraint', async (t) => {
  const options = {
    resources: {
      models: [
        { key: 'nvidia-gpu-type', resource: 'nvidia.com/gpu', names: { T4: 'tesla_t4' } },
        { key: 'accelerator-FPGA', resource: 'xilinx.com/fpga' },
        { key: 'cpu-type' }
      ]
    }
  }
  t.same(
    args(
      {
        container: asking({ 'nvidia.com/gpu': '1', 'xilinx.com/fpga': '1' }),
        spec: {
          nodeSelector: { 'nvidia-gpu-type': 'T4', 'cpu-type': 'Zen4' },
          tolerations: [{ key: 'accelerator-FPGA', operator: 'Equal', value: 'U55C', effect: 'NoSchedule' }]
        }
      },
      options
    ),
    ['--gres=gpu:tesla_t4:1,fpga:u55c:1', '--constraint=zen4']
  )
})

t.test('a deadline becomes a time limit that comes after it, unless one is written', async (t) => {
  const spec = { activeDeadlineSeconds: 3600, terminationGracePeriodSeconds: 30 }
  t.same(args({ spec }), ['--time=62'])
  t.same(args({ spec, annotations: flags('-t 20:00:00') }), ['--time=20:00:00'])
})

t.test('a time limit fits the partition of the job', async (t) => {
  const partitions = [
    { name: 'debug', default: true, open: true, nodes: 1, maxSeconds: 3600 },
    { name: 'long', default: false, open: true, nodes: 1 }
  ]
  const fitted = (given: Given) => {
    const { args, notices } = renderBatch(
      { plan: planOf(given), dir },
      optionsOf().batch,
      '/bin/sh',
      partitions
    )
    return [
      args.find((arg) => arg.startsWith('--time')),
      ...notices.map(({ reason, message }) => `${reason} ${message}`)
    ]
  }
  const spec = { activeDeadlineSeconds: 7200 }
  t.strictSame(fitted({ spec }), [
    '--time=60',
    'TimeLimitShortened spec.activeDeadlineSeconds: partition debug gives at most 60 minutes; the job is ended by then'
  ])
  t.strictSame(fitted({ spec, annotations: flags('--partition=long') }), ['--time=122'])
  t.strictSame(fitted({ spec, annotations: flags('-p unknown') }), ['--time=122'])
  for (const time of ['1-00', '1-00:00', '02:00:00', '61', '60:01', '0', 'UNLIMITED'])
    t.strictSame(fitted({ annotations: flags(`--time=${time}`) }), [
      `--time=${time}`,
      `TimeLimitTooLong --time=${time}: partition debug gives at most 60 minutes; the job waits for ever`
    ])
  for (const time of ['60', '60:00', '1:00:00', '0-1', 'soon'])
    t.strictSame(fitted({ annotations: flags(`--time=${time}`) }), [`--time=${time}`])
})

t.test('a flavor is weaker than the annotation, and that than what the pod asks for', async (t) => {
  const flavors = [
    { name: 'small', flags: '--partition=cpu --time=60', cpus: 2, memory: '4G' },
    { name: 'gpu-4', flags: '--partition=gpu --gres=gpu:4' },
    { name: 'gpu-any', flags: '--partition=gpu' }
  ]
  const options = { flavors, defaultFlavor: 'small' }
  t.same(args({}, options), ['--cpus-per-task=2', '--mem=4G', '--partition=cpu', '--time=60'])
  t.same(args({ annotations: flags('--mem-per-cpu=1G -p debug') }, options), [
    '--cpus-per-task=2',
    '--partition=debug',
    '--time=60',
    '--mem-per-cpu=1G'
  ])
  t.same(
    args(
      { annotations: flags('--mem=1G --cpus-per-task=9'), container: asking({ cpu: '3', memory: '8Gi' }) },
      options
    ),
    ['--partition=cpu', '--time=60', '--cpus-per-task=3', '--mem=8192M']
  )
  t.same(args({ container: asking({ 'nvidia.com/gpu': '4' }) }, options), ['--partition=gpu', '--gres=gpu:4'])
  t.same(
    args({ container: asking({ 'nvidia.com/gpu': '1' }) }, options),
    ['--partition=gpu', '--gres=gpu:4'].map((arg) => arg.replace(':4', ':1'))
  )
  t.match(batch({ annotations: { 'slurm-job.vk.io/flavor': 'big' } }, options).notices, [
    {
      reason: 'FlavorNotFound',
      message: /no flavor "big" \(this site has small, gpu-4, gpu-any\); small is used/
    }
  ])
  t.same(
    args({ annotations: { 'job.vk.io/flavor': 'gpu-any' } }, options),
    ['--partition=gpu'],
    'an older name'
  )
})

t.test('GPUs are never asked for twice, and the number the pod asks for holds', async (t) => {
  const two = asking({ 'nvidia.com/gpu': '2' })
  t.same(args({ container: two, annotations: flags('--gres=gpu:a100:2,nvme:1') }), [
    '--gres=nvme:1,gpu:a100:2'
  ])
  t.same(args({ container: two, annotations: flags('--gpus=a100:2') }), ['--gpus=a100:2'])
  t.same(args({ container: two, annotations: flags('-G 4') }), ['--gres=gpu:2'])
  t.match(batch({ container: two, annotations: flags('-G 4') }).notices, [
    { reason: 'FlagReplaced', message: '-G 4: the pod asks for gpu:2, which is used' }
  ])
})

t.test("a user's own signal, output and flags that are refused", async (t) => {
  const { args, notices } = batch({ annotations: flags('--signal=B:USR1@300 --output=/x/%j.out') })
  t.ok(args.includes('--signal=B:TERM@300'))
  t.ok(args.includes('--output=/jobs/default-uid/job.out'), 'a missing directory would fail the job')
  t.match(notices, [{ reason: 'SignalReplaced' }])
  t.match(batch({ annotations: flags('--wrap=id --array=1-9 --gers=1') }).refusals, [
    { field: 'metadata.annotations[slurm-job.vk.io/flags]', message: /no option --gers/ },
    { message: /--wrap=id: what runs is the pod itself/ },
    { message: /--array=1-9: one pod is one job/ }
  ])
})

t.test('shell text of pods runs only where the site says so', async (t) => {
  const annotations = { 'slurm-job.vk.io/pre-exec': 'export CANARY=1' }
  t.match(batch({ annotations }).refusals, [
    { field: 'metadata.annotations[slurm-job.vk.io/pre-exec]', message: /not run at this site/ }
  ])
  t.notMatch(batch({ annotations }).script, /CANARY/)
  const open = batch({ annotations }, { rawShell: true })
  t.same(open.refusals, [])
  t.match(open.script, /export CANARY=1/)
})

t.test('the script runs the supervisor, hands TERM on, and cleans up', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'interlink-batch-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const job = join(home, "it's $(touch pwned) %j")
  await mkdir(join(job, 'volumes/fast'), { recursive: true })
  await writeFile(
    join(job, 'job.sh'),
    'trap "echo ended; exit 7" TERM; echo "$POD_IP|$SANDBOX|$PREAMBLE"; stat -f -c %T "$SANDBOX/volumes/fast/"; touch "$INTERLINK_SCRATCH/x"; while :; do sleep 0.1; done'
  )
  const plan = planOf({
    annotations: {
      'interlink.eu/pod-ip': '10.0.0.1; touch pwned',
      ...flags(`--output='${home}/out put/%x-%j.$(touch pwned).txt'`)
    },
    container: { volumeMounts: [{ name: 'fast', mountPath: '/fast' }] },
    spec: { volumes: [{ name: 'fast', emptyDir: { medium: 'Memory' } }] }
  })
  const { script, refusals } = renderBatch(
    { plan, dir: job },
    optionsOf({ batch: { preamble: 'export PREAMBLE=yes\n' } }).batch
  )
  t.same(refusals, [])
  const child = spawn('/bin/sh', [], {
    cwd: home,
    env: { PATH: process.env.PATH, TMPDIR: home, SLURM_JOB_ID: '17', SLURM_JOB_NAME: "na'me" },
    stdio: ['pipe', 'pipe', 'inherit']
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stdin.end(script)
  const code = new Promise((resolve) => child.once('close', resolve))
  await until(
    () => said.includes('tmpfs'),
    () => Promise.resolve(said)
  )
  t.equal(said, `10.0.0.1; touch pwned|${job}|yes\ntmpfs\n`)
  child.kill('SIGTERM')
  t.equal(await code, 7)
  t.match(said, /ended\n$/)
  t.same(await readdir(home), ["it's $(touch pwned) %j", 'out put'], 'neither scratch nor a file of a pod')
  t.equal(
    await readFile(join(home, "out put/na'me-17.$(touch pwned).txt"), 'utf8'),
    `The logs of this job are in ${job}/log\n`
  )
  const { stdout } = await call('/bin/sh', ['-c', 'ls -d /dev/shm/interlink.17.* 2>/dev/null || true'])
  t.equal(stdout, '')
})

t.test('what a pod says of its containers is read as options, within the policy', async (t) => {
  const launch = (annotations: Record<string, string>, containers: object = {}) =>
    renderLaunches(planOf({ annotations, container: { image: '/a.sif' } }), dir, optionsOf({ containers }))
  const mounts = { 'slurm-job.vk.io/singularity-mounts': '--bind /scratch/a:/a,/scratch/b:/b:ro' }
  const allowed = launch(mounts, { policy: { binds: ['/scratch'] } })
  t.ok(
    'launches' in allowed && allowed.launches['main']?.outer?.start.includes('/scratch/a:/a,/scratch/b:/b:ro')
  )
  t.match(launch(mounts), {
    refusals: [
      { field: 'metadata.annotations[slurm-job.vk.io/singularity-mounts]', message: /may bind nothing/ }
    ]
  })
  t.match(
    launch(
      { 'slurm-job.vk.io/singularity-mounts': '-B /scratch/../etc' },
      { policy: { binds: ['/scratch'] } }
    ),
    {
      refusals: [{ message: /may bind \/scratch/ }]
    }
  )
  t.ok('launches' in launch({ 'slurm-job.knoc.io/singularity-options': '--no-home --nv' }))
  t.match(launch({ 'slurm-job.vk.io/singularity-options': '--no-home && rm -rf /' }), {
    refusals: [
      { message: '"&&" is no option of Apptainer; a value with blanks is put in quotes' },
      {},
      {},
      {}
    ]
  })
  t.match(launch({ 'slurm-job.vk.io/singularity-options': '--writable' }), {
    refusals: [{ message: '--writable is not allowed to pods of this site; remove it' }]
  })
})

t.test('GPUs are handed to a container that asks for them, in one way or the other', async (t) => {
  const has = (option: string, given: Given, containers: object = {}) => {
    const rendered = renderLaunches(
      planOf({ ...given, container: { image: '/a.sif', ...given.container } }),
      dir,
      optionsOf({ containers })
    )
    return 'launches' in rendered && rendered.launches['main']!.outer!.start.includes(option)
  }
  t.notOk(has('--nv', {}))
  t.ok(has('--nv', { container: asking({ 'nvidia.com/gpu': '1' }) }))
  t.ok(has('--rocm', { container: asking({ 'amd.com/gpu': '1' }) }))
  t.ok(has('--nv', { annotations: flags('--gres=gpu:4') }))
  t.ok(has('--rocm', { annotations: flags('--gpus-per-node=4') }, { gpu: 'amd' }))
})

t.test('containers that are to see each other are refused where each has an instance', (t) => {
  const shared = (containers: { name: string }[], runtime = 'apptainer') =>
    renderLaunches(
      planOf({ spec: { shareProcessNamespace: true, containers } }),
      dir,
      optionsOf({ containers: { runtime } })
    )
  const [one, other] = ['one', 'other'].map((name) => ({ name, image: '/a.sif', command: ['run'] }))
  const field = 'spec.shareProcessNamespace'
  t.match(shared([one!, other!]), { refusals: [{ field, message: /namespace of its own; remove it/ }] })
  t.ok('launches' in shared([one!]))
  t.ok('launches' in shared([one!, other!], 'enroot'))
  t.end()
})

t.test('Enroot, Pyxis, MPI and the plain host have launches of their own', async (t) => {
  const run = (
    container: Record<string, unknown>,
    containers: object,
    annotations: Record<string, string> = {}
  ) => {
    const rendered = renderLaunches(planOf({ container, annotations }), dir, optionsOf({ containers }))
    if ('refusals' in rendered) throw new Error(JSON.stringify(rendered.refusals))
    return rendered.launches['main']!
  }
  const container = { image: 'nvcr.io/a/b:1', command: ['run'], env: [{ name: 'SECRET', value: 'canary' }] }
  const enroot = run(container, { runtime: 'enroot' })
  t.ok(enroot.outer!.start.includes('docker://nvcr.io#a/b:1'))
  t.same(enroot.run.slice(0, 3), ['enroot', 'start', '--rw'])
  t.same(enroot.run.slice(-2), ['main-6b2e0d0c-1111-4222-8333-944455556666', 'run'])
  const pyxis = run(container, { runtime: 'pyxis' })
  t.ok(pyxis.run.includes('--container-image=nvcr.io#a/b:1'))
  t.ok(pyxis.run.includes('--container-env=HOSTNAME,INTERLINK_INSTANCE,SECRET'))
  t.notMatch(JSON.stringify([enroot, pyxis]), /canary/, 'values are in no argument')
  const mpi = { 'slurm-job.vk.io/mpi-flags': '--mpi=pmix -n 4' }
  const ranks = run(container, {}, mpi).run
  t.same(ranks.slice(0, 6), ['srun', '--kill-on-bad-exit=1', '--mpi=pmix', '-n', '4', '/bin/sh'])
  t.same(ranks.slice(7, 9), ['APPTAINERENV_', 'apptainer'])
  for (const option of ['--containall', '--contain', '--hostname'])
    t.notOk(ranks.includes(option), `${option} would keep ranks from each other`)
  t.equal(run(container, { mpi: 'mpirun' }, mpi).run[2], 'exec mpirun -np "${SLURM_NTASKS:-1}" "$@"')
  t.same(run({ command: ['hostname'] }, {}).run, ['hostname'])
  t.same(run({ command: ['hostname'] }, {}, mpi).run, [
    'srun',
    '--kill-on-bad-exit=1',
    '--mpi=pmix',
    '-n',
    '4',
    'hostname'
  ])
})

t.test('a rank hands on what MPI and Slurm tell it, and leaves what the pod has set', async (t) => {
  const ran = await call(
    'sh',
    [fileURLToPath(new URL('../assets/apptainer/rank.sh', import.meta.url)), 'P_', 'env'],
    {
      env: {
        PATH: process.env.PATH,
        SLURM_PROCID: '3',
        PMIX_RANK: '$(id) `id`\n"\'',
        OMPI_COMM_WORLD_SIZE: '4',
        SLURM_NTASKS: '4',
        P_SLURM_NTASKS: 'own',
        SLURM_JWT: 'canary',
        SECRET: 'x\nSLURM_FORGED=1'
      }
    }
  )
  const got = ran.stdout.split('\n').filter((line) => line.startsWith('P_'))
  t.same(got.sort(), [
    'P_OMPI_COMM_WORLD_SIZE=4',
    'P_PMIX_RANK=$(id) `id`',
    'P_SLURM_NTASKS=own',
    'P_SLURM_PROCID=3'
  ])
})

t.test('images are pulled where the job is submitted, unless jobs pull themselves', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'interlink-pull-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const plan = planOf({ container: { image: 'python:3', imagePullPolicy: 'Always' } })
  const script = pullScript(
    { plan, dir: home, root: undefined },
    { ...optionsOf(), preamble: 'export FIRST=yes' }
  )!
  await writeFile(join(home, 'image.sh'), 'echo "$*|$INTERLINK_PULLING|$FIRST" >"$1/called"\n')
  await call('/bin/sh', ['-c', script])
  const said = () => readFile(join(home, 'called'), 'utf8').catch(() => '')
  await until(async () => (await said()) !== '', 'the program was called')
  t.equal(await said(), `${home} main apptainer docker://python:3 Always|1|yes\n`)
  t.equal(
    pullScript({ plan, dir, root: undefined }, { ...optionsOf({ images: { pull: 'job' } }), preamble: '' }),
    undefined
  )
  const own = planOf({ container: { image: '/a.sif' } })
  t.equal(pullScript({ plan: own, dir, root: undefined }, { ...optionsOf(), preamble: '' }), undefined)
})
