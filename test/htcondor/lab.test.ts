import t from 'tap'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { eventually } from '../support/eventually.ts'
import { busyboxRoot } from '../support/image-root.ts'
import { onPath } from '../support/on-path.ts'
import { requireReal } from '../support/require-real.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const call = promisify(execFile)

/** Submits a description of a job; resolves with the job's number. */
async function submit(lab: HtcondorLab, dir: string, lines: readonly string[]): Promise<string> {
  const file = join(dir, `job-${Math.random()}.sub`)
  await writeFile(file, [...lines, 'queue', ''].join('\n'))
  const remote = lab.options.schedd === undefined ? [] : ['-spool', '-name', lab.options.schedd]
  const printed = await lab.run('condor_submit', '-terse', ...remote, file)
  return printed.trim().split(' ')[0]!.split('.')[0]!
}

const job = (lab: HtcondorLab, id: string, ...attributes: string[]) => {
  const remote = lab.options.schedd === undefined ? [] : ['-name', lab.options.schedd]
  return lab.run('condor_q', ...remote, id, '-af', ...attributes)
}

const status = { running: '2', completed: '4', held: '5' } as const

const until = (lab: HtcondorLab, id: string, wanted: string): Promise<unknown> =>
  eventually(async () => (await job(lab, id, 'JobStatus')).trim() === wanted, { deadlineMs: 180_000 })

/** What the job said on its two streams, once it has left the queue. */
async function ended(lab: HtcondorLab, id: string): Promise<string> {
  await eventually(async () => (await job(lab, id, 'JobStatus')) === '')
  const said = ['ExitCode', 'AssignedGPUs', 'Assignedfpgas']
  return eventually(() => lab.run('condor_history', id, '-limit', '1', '-af', ...said))
}

const shell = (script: string, name: string) => [
  'executable = /bin/sh',
  'transfer_executable = false',
  `arguments = "-c '${script}'"`,
  `output = ${name}.out`,
  `error = ${name}.err`
]

if (requireReal(t, htcondorUnprepared())) {
  t.test('two pools run side by side, run a job each, and leave nothing', async (t) => {
    const labs = await Promise.all([startHtcondorLab({ prefix }), startHtcondorLab({ prefix, nodes: 1 })])
    for (const lab of labs) t.teardown(() => lab.close())
    const pids: string[] = []
    for (const lab of labs) {
      const dir = t.testdir()
      const id = await submit(lab, dir, [
        `initialdir = ${dir}`,
        'should_transfer_files = NO',
        ...shell('read -r pid rest < /proc/self/stat; echo $pid; exec sleep 600', 'long')
      ])
      await until(lab, id, status.running)
      pids.push(await eventually(async () => (await readFile(join(dir, 'long.out'), 'utf8')).trim()))
      t.equal((await job(lab, id, 'Owner')).trim(), 'researcher')
    }
    for (const pid of pids)
      await eventually(async () => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('sleep'))
    for (const lab of labs) await lab.close()
    for (const lab of labs) t.notOk(existsSync(lab.dir))
    for (const pid of pids)
      t.equal(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''), '', 'the job has ended')
  })

  t.test('slots are partitionable, and devices are given out by model and by name', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())
    const dir = t.testdir()
    const base = [`initialdir = ${dir}`, 'should_transfer_files = NO', 'request_cpus = 1']
    const ids = await Promise.all([
      submit(lab, dir, [
        ...base,
        ...shell('echo $CUDA_VISIBLE_DEVICES', 'gpu'),
        'request_gpus = 2',
        'require_gpus = Capability >= 8.0 && DeviceName == ""A100-SXM4-40GB""'.replaceAll('""', '"')
      ]),
      submit(lab, dir, [
        ...base,
        ...shell('echo $FPGAS_VISIBLE_DEVICES; exit 3', 'fpga'),
        'request_fpgas = 1'
      ])
    ])
    t.match(await ended(lab, ids[0]), /^0 GPU-\w+,GPU-\w+ undefined$/m)
    t.match(await readFile(join(dir, 'gpu.out'), 'utf8'), /^GPU-\w+,GPU-\w+$/m)
    t.match(await ended(lab, ids[1]), /^3 undefined fpga\d$/m)
    t.match(await readFile(join(dir, 'fpga.out'), 'utf8'), /^fpga\d$/m)
  })

  t.test('without a shared file system, and with a schedd elsewhere, files are carried', async (t) => {
    const lab = await startHtcondorLab({ prefix, sharedFileSystem: false, remoteSchedd: true })
    t.teardown(() => lab.close())
    const dir = t.testdir({ 'in.txt': 'carried\n' })
    await t.rejects(lab.run('condor_q'), 'there is none of this machine')
    const id = await submit(lab, dir, [
      `initialdir = ${dir}`,
      'should_transfer_files = YES',
      'transfer_input_files = in.txt',
      ...shell(`cat in.txt; ls ${lab.dir}`, 'far')
    ])
    await until(lab, id, status.completed)
    await lab.run('condor_transfer_data', '-name', lab.options.schedd!, id)
    const said = await readFile(join(dir, 'far.out'), 'utf8')
    t.match(said, /^carried\nn\d\n$/, 'of the lab it sees its own machine only')
  })

  t.test('a job over its memory is held, as most pools have it', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())
    const dir = t.testdir()
    const id = await submit(lab, dir, [
      `initialdir = ${dir}`,
      'should_transfer_files = NO',
      'request_memory = 20M',
      'executable = /usr/bin/perl',
      'transfer_executable = false',
      `arguments = "-e 'my $x = q(x) x 300_000_000; sleep 600'"`
    ])
    await until(lab, id, status.held)
    t.match(await job(lab, id, 'HoldReasonCode', 'HoldReasonSubCode'), /^21 102$/m)
  })

  t.test('a container of an image runs', async (t) => {
    const apptainer = onPath('apptainer')
    if (!requireReal(t, apptainer === undefined ? 'Apptainer is missing' : undefined)) return
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())
    const dir = t.testdir()
    const image = join(dir, 'busybox.sif')
    await call(apptainer!, ['build', '-F', image, await busyboxRoot(join(dir, 'root'))])
    const id = await submit(lab, dir, [
      `initialdir = ${dir}`,
      'universe = container',
      `container_image = ${image}`,
      'should_transfer_files = YES',
      ...shell('exit 37', 'contained')
    ])
    t.match(await ended(lab, id), /^37 /)
  })

  t.test('daemons that were killed come back with their jobs', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())
    const dir = t.testdir()
    const base = [`initialdir = ${dir}`, 'should_transfer_files = NO']
    const id = await submit(lab, dir, [
      ...base,
      ...shell('until [ -e go ]; do sleep 0.1; done; exit 5', 'first')
    ])
    await until(lab, id, status.running)
    await lab.kill('schedd')
    await t.rejects(lab.run('condor_q'))
    await lab.start('schedd')
    await writeFile(join(dir, 'go'), '')
    t.match(await ended(lab, id), /^5 /)
    for (const daemon of ['n1', 'negotiator', 'collector'] as const) {
      await lab.kill(daemon)
      await lab.start(daemon)
    }
    t.match(await ended(lab, await submit(lab, dir, [...base, ...shell('exit 6', 'second')])), /^6 /)
  })
}
