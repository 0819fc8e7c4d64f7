import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { startSlurmLab, type SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { isOver, scriptPod } from '../slurm/slurm-plugin.ts'
import { startSlurmPluginProcess, type BackendProcess } from './backend-process.ts'
import { againstBare, createAll, finishedAt, memoryWith, watchStatuses } from './batch.ts'
import { memoryOf, percentile, round, type Figures } from './figures.ts'

/** sbatch at once, in the plugin and in the loop that is its ceiling. */
const concurrency = 4
const runningPods = 40
const changesPerSecond = 5

interface Bench {
  readonly lab: SlurmLab
  readonly plugin: BackendProcess
  readonly say: (text: string) => void
}

export interface QueueSizes {
  readonly submissions: number
  readonly watched: number
  readonly changes: number
  readonly remembered: number
}

/** A plugin before a queue of jobs that wait, and some that run: what it takes, how old its answers are, its memory. */
export async function benchQueue(sizes: QueueSizes, say: (text: string) => void): Promise<Figures> {
  const lab = await startSlurmLab({ nodes: 4, cpus: 64, memoryMiB: 64_000, gpus: 0 })
  try {
    const plugin = await startSlurmPluginProcess(lab, concurrency)
    const bench = { lab, plugin, say }
    try {
      const empty = await memoryOf(plugin.pid)
      const submitted = await submissions(bench, sizes.submissions)
      await createAll(plugin, waitingPods(Math.max(0, sizes.watched - 2 * sizes.submissions - runningPods)))
      const fresh = await staleness(bench, sizes)
      await createAll(plugin, waitingPods(sizes.remembered - sizes.watched))
      await delay(10_000)
      return { ...submitted, ...fresh, ...(await memoryWith(bench, sizes.remembered, empty)) }
    } finally {
      await plugin.stop()
    }
  } finally {
    await lab.close()
  }
}

/** Nothing that these pods ask for lets them start while the bench runs. */
const waitingPod = (): RetrievedPodData =>
  scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--begin=now+20hours' } })
const waitingPods = (count: number): RetrievedPodData[] => Array.from({ length: count }, waitingPod)

/** The same script and flags, by the plugin and by a bare loop. */
async function submissions({ lab, plugin, say }: Bench, count: number): Promise<Figures> {
  const pod = waitingPod()
  const { PodJID } = await plugin.client.create(pod)
  const script = join(lab.dir, 'bare.sh')
  await writeFile(script, await lab.run('scontrol', 'write', 'batch_script', PodJID, '-'))
  const args = ['--begin=now+20hours', '--job-name=bare', '--no-requeue', '--output=/dev/null']
  await createAll(plugin, waitingPods(count / 5))
  const figures = await againstBare(
    {
      plugin,
      pods: waitingPods(count),
      bare: ['sbatch', '--parsable', ...args, '--comment={}', script],
      env: lab.env,
      atOnce: concurrency
    },
    say
  )
  await lab.run('scancel', '--name=bare')
  return figures
}

/**
 * From the truth to the plugin's watch: jobs that are held one after the other (Slurm knows first), and pods that end
 * (the supervisor knows first). What the controller was asked meanwhile is its own count.
 */
async function staleness({ lab, plugin, say }: Bench, { changes, watched }: QueueSizes): Promise<Figures> {
  const seen = watchStatuses(plugin)
  const seconds = changes / changesPerSecond
  const ending = Array.from({ length: runningPods }, (_, index) =>
    scriptPod(`sleep ${round(15 + (index / runningPods) * seconds, 0)}`)
  )
  const held = waitingPods(changes)
  await createAll(plugin, [...ending, ...held])
  await delay(10_000)
  const [first, ...jobs] = await Promise.all(held.map((pod) => plugin.client.create(pod)))
  const heldAt = new Map<string, number>()
  const hold = async ({ PodUID, PodJID }: { PodUID: string; PodJID: string }) => {
    await lab.run('scontrol', 'hold', PodJID)
    heldAt.set(PodUID, Date.now())
  }
  const lags = async () => {
    const told = await seen.all([...heldAt.keys()], ({ reason }) => reason?.startsWith('QueuedJobHeld'))
    return [...told].map(([uid, at]) => at - heldAt.get(uid)!)
  }
  // A quiet queue is looked at less often: the first change of it is a figure of its own.
  await hold(first!)
  const [afterQuiet] = await lags()
  heldAt.clear()
  const asked = await queueQuestions(lab)
  const from = performance.now()
  for (const job of jobs) {
    await hold(job)
    await delay(1000 / changesPerSecond)
  }
  const queueLags = await lags()
  const interval = (performance.now() - from) / 1000 / ((await queueQuestions(lab)) - asked)
  const uids = ending.map(({ pod }) => pod.metadata.uid!)
  const endSeen = await seen.all(uids, isOver)
  seen.close()
  const endLags = await Promise.all(
    [...endSeen].map(async ([uid, at]) => at - (await finishedAt(plugin.root, `default-${uid}`)))
  )
  const p95 = percentile(queueLags, 0.95)
  say(`${watched} jobs: one squeue per ${round(interval, 2)} s, staleness p95 ${round(p95 / 1000, 2)} s`)
  return {
    watchedJobs: watched,
    squeueEverySeconds: round(interval, 2),
    stalenessAfterQuietMs: round(afterQuiet!, 0),
    queueStalenessP50Ms: round(percentile(queueLags, 0.5), 0),
    queueStalenessP95Ms: round(p95, 0),
    endStalenessP50Ms: round(percentile(endLags, 0.5), 0),
    endStalenessP95Ms: round(percentile(endLags, 0.95), 0)
  }
}

/** How often the controller was asked for jobs since it started, sdiag(1). */
async function queueQuestions(lab: SlurmLab): Promise<number> {
  const counts = [...(await lab.run('sdiag')).matchAll(/REQUEST_JOB_(?:USER_)?INFO\S*\s.*?count:(\d+)/g)]
  return counts.reduce((sum, [, count]) => sum + Number(count), 0)
}
