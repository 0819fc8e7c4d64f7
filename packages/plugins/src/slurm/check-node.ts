import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check } from '../kit/backend.ts'
import { checkClock, judgeTrial } from '../kit/checks/judge-trial.ts'
import {
  apptainerTrial,
  lacksRuntime,
  lookedFile,
  readReport,
  trialScript,
  versionTrial,
  type NodeReport,
  type Trial
} from '../kit/checks/trial.ts'
import { untilSeen } from '../kit/checks/until-seen.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import { checkStreams } from './check-streams.ts'
import type { SlurmOptions } from './options.ts'
import type { Site } from '../kit/sites/site.ts'
import type { SlurmClient } from './slurm-client.ts'
import { waysOf } from './slurm-streams.ts'
import { isOver } from './states.ts'
import type { Transport } from '../kit/transport/transport.ts'
import { trialArgs } from './trial-args.ts'

export interface Cluster {
  readonly slurm: SlurmClient
  readonly site: Site
  readonly transport: Transport
  readonly options: SlurmOptions
  readonly callHome: CallHome | undefined
  /** Of the job directories, as the plugin sees it. */
  readonly root: string
}

/** Until what a node has written is seen elsewhere, on file systems such as NFS. */
const sharedMs = 10_000

/** Runs a real job and tells what it has found. It is cancelled where it does not start in time. */
export async function checkNode(cluster: Cluster): Promise<Check[]> {
  const { site, root, options } = cluster
  const dir = join(root, `.doctor-${randomUUID()}`)
  const directories = {
    name: 'job directories',
    fix: `give a root (with ssh: options.ssh.directory) that this account can write and every node sees; options.users.directory likewise`
  }
  const probe = randomUUID()
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await writeFile(join(dir, 'probe'), probe, { mode: 0o600 })
    await site.stage(dir)
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    return [{ ...directories, ok: false, detail: (error as Error).message }]
  }
  try {
    const submittedAt = Date.now()
    const ran = await runJob(cluster, dir, probe)
    if ('check' in ran) return [ran.check]
    return [
      ...judgeTrial(ran.report, {
        ...{ containers: options.containers, preamble: 'options.batch.preamble' },
        ...{ root: await site.seenAs(root), directories }
      }),
      ran.streams,
      ...checkClock(ran.report, submittedAt)
    ]
  } finally {
    await site.release(dir).catch(() => {})
    await rm(dir, { recursive: true, force: true })
  }
}

async function runJob(
  { slurm, site, options, transport, callHome }: Cluster,
  dir: string,
  probe: string
): Promise<{ readonly report: NodeReport; readonly streams: Check } | { readonly check: Check }> {
  const name = 'test job'
  const fix = 'see sinfo and squeue; with options.batch.defaultFlavor the job gets the flags that pods get'
  const patienceMs = options.timeouts.testJobSeconds * 1000
  const there = await site.seenAs(dir)
  let jobId: string | undefined
  try {
    const trial = trialOf(options)
    const { partitions } = await slurm.facts().catch(() => ({ partitions: [] }))
    const args = trialArgs(options, trial.lingerSeconds, partitions)
    const script = trialScript(trial, there, probe)
    jobId = await slurm.submit(args, 'interlink-doctor', script, join(there, 'submit.lock'))
    const id = jobId
    const waiting = /^(PENDING|CONFIGURING)$/
    let job = await untilSeen(
      () => slurm.job(id),
      ({ state }) => !waiting.test(state),
      patienceMs
    )
    if (waiting.test(job.state))
      return {
        check: {
          name,
          ok: false,
          detail: `job ${id} still waits in the queue after ${options.timeouts.testJobSeconds} s (${job.reason}); it is cancelled`,
          fix: 'look again when the cluster is less busy, give more time by options.timeouts.testJobSeconds, or see the reason in squeue(1)'
        }
      }
    const streams = await checkStreams({ slurm, transport, site, callHome }, options.streams, {
      jobId: id,
      dir
    })
    await transport.run(['touch', join(there, lookedFile)], { timeoutMs: patienceMs })
    job = await untilSeen(() => slurm.job(id), isOver, patienceMs)
    if (!/^(COMPLETED|FAILED)$/.test(job.state))
      return { check: { name, ok: false, detail: `job ${id} is ${job.state} (${job.reason})`, fix } }
    const said = await untilSeen(() => site.read(dir, 'report'), Boolean, job.exit & 1 ? 0 : sharedMs)
    jobId = undefined
    return { report: readReport(said ?? '', said === undefined ? job.exit | 1 : job.exit), streams }
  } catch (error) {
    return { check: { name, ok: false, detail: (error as Error).message, fix } }
  } finally {
    if (jobId !== undefined) await slurm.cancel(jobId).catch(() => {})
  }
}

function trialOf({ batch, containers, streams }: SlurmOptions): Trial {
  const { runtime, tool = runtime, shell, options } = containers
  const lines = {
    ...{ apptainer: apptainerTrial(options), singularity: apptainerTrial(options) },
    ...{ enroot: [versionTrial('version')], pyxis: [pyxisTrial], host: [] }
  }[runtime]
  const lingerSeconds = streams.startSeconds * waysOf(streams).length
  return { preamble: batch.preamble, shell, tool, lines, lingerSeconds }
}

const pyxisTrial = `srun --help 2>&1 | grep -q -e --container-image ||
  ${lacksRuntime('srun has no --container-image')}`
