import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { htcondorPrefix as prefix } from '../htcondor/prefix.ts'
import { isOver, scriptPod } from '../support/plugin.ts'
import { startBackendProcess, type BackendProcess } from './backend-process.ts'
import { againstBare, createAll, finishedAt, memoryWith, watchStatuses } from './batch.ts'
import { memoryOf, percentile, round, type Figures } from './figures.ts'

const call = promisify(execFile)
const interlink = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))

/** condor_submit at once, in the plugin and in the loop that is its ceiling. */
const concurrency = 4
const changesPerSecond = 5

interface Bench {
  readonly lab: HtcondorLab
  readonly plugin: BackendProcess
  /** How often the plugin has started condor_q. */
  questions(): Promise<number>
  readonly say: (text: string) => void
}

/**
 * A real pool, and a plugin with its defaults before a queue of jobs that wait, and some that run: what it takes, how
 * old its answers are, its memory. `share` of all sizes: below 1 for a quick look.
 */
export async function benchHtcondor(say: (text: string) => void, share: number): Promise<Figures> {
  const part = (size: number) => Math.max(10, Math.round(size * share))
  const loadBefore = round(loadavg()[0]!, 2)
  const lab = await startHtcondorLab({ prefix, cpus: 64, memoryMiB: 64_000, gpus: 0 })
  try {
    const { bin, questions } = await countQuestions(lab)
    const options = { ...lab.options, bin, submissions: concurrency }
    const plugin = await startBackendProcess('htcondor', lab.dir, options, lab.env.PATH)
    const bench = { lab, plugin, questions, say }
    try {
      const empty = await memoryOf(plugin.pid)
      const sizes = { submissions: part(500), jobs: part(1000), changes: part(200), ends: part(40) }
      const submitted = await submissions(bench, sizes.submissions)
      const there = 1 + sizes.submissions + sizes.submissions / 5 + sizes.changes + sizes.ends
      await createAll(plugin, waitingPods(Math.max(0, sizes.jobs - there)))
      const fresh = await staleness(bench, sizes)
      return { loadBefore, ...submitted, ...fresh, ...(await memoryWith(bench, sizes.jobs, empty)) }
    } finally {
      await plugin.stop()
    }
  } finally {
    await lab.close()
  }
}

/** A condor_q in front of the lab's own, which keeps a line of each call. */
async function countQuestions(lab: HtcondorLab) {
  const bin = join(lab.dir, 'counted')
  const asked = join(bin, 'asked')
  await mkdir(bin)
  await writeFile(asked, '')
  const program = join(bin, 'condor_q')
  await writeFile(program, `#!/bin/sh\necho >>'${asked}'\nexec '${prefix}/bin/condor_q' "$@"\n`)
  await chmod(program, 0o755)
  return { bin, questions: async () => (await readFile(asked, 'utf8')).length }
}

/** No machine fulfils what these pods ask for. */
const waitingPod = (): RetrievedPodData =>
  scriptPod('true', { annotations: { 'htcondor-job.vk.io/requirements': 'InterLinkBench =?= true' } })
const waitingPods = (count: number): RetrievedPodData[] =>
  Array.from({ length: Math.round(count) }, waitingPod)

/** The same description, by the plugin and by a bare loop. */
async function submissions({ lab, plugin, say }: Bench, count: number): Promise<Figures> {
  const directory = join(lab.dir, 'bare')
  await mkdir(directory)
  const file = join(directory, 'bare.sub')
  await writeFile(file, await describedFor(directory))
  await createAll(plugin, waitingPods(count / 5))
  const figures = await againstBare(
    {
      plugin,
      pods: waitingPods(count),
      bare: ['condor_submit', '-terse', '-batch-name', 'bare-{}', file],
      env: lab.env,
      atOnce: concurrency
    },
    say
  )
  await lab.run('condor_rm', '-constraint', 'InterLinkRoot == "<mark>"')
  return figures
}

/** What the plugin would hand over for such a pod, with that directory as the pod's. */
async function describedFor(directory: string): Promise<string> {
  const { pod } = waitingPod()
  const file = join(directory, 'pod.json')
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }))
  const { stdout } = await call(interlink, ['render', file, '--backend', 'htcondor', '-o', 'json'])
  const { shown } = JSON.parse(stdout) as { shown: readonly { text: string }[] }
  const text = shown[0]!.text.replaceAll(/\/jobs\/[^/"'\s]+/g, directory)
  return `log = ${join(directory, 'log')}\n${text}`
}

/**
 * From the truth to the plugin's watch: jobs that are held one after the other (HTCondor knows first), and pods that
 * end (the supervisor knows first).
 */
async function staleness(
  { lab, plugin, questions, say }: Bench,
  { changes, ends, jobs }: { readonly changes: number; readonly ends: number; readonly jobs: number }
): Promise<Figures> {
  const seen = watchStatuses(plugin)
  const seconds = changes / changesPerSecond
  const ending = Array.from({ length: ends }, (_, index) =>
    scriptPod(`sleep ${round(15 + (index / ends) * seconds, 0)}`)
  )
  const waiting = waitingPods(changes)
  await createAll(plugin, ending)
  const submitted = await Promise.all(waiting.map((pod) => plugin.client.create(pod)))
  await delay(10_000)
  const heldAt = new Map<string, number>()
  const askedBefore = await questions()
  const from = performance.now()
  for (const { PodUID, PodJID } of submitted) {
    await lab.run('condor_hold', PodJID)
    heldAt.set(PodUID, Date.now())
    await delay(1000 / changesPerSecond)
  }
  const heldSeen = await seen.all([...heldAt.keys()], ({ reason }) => reason?.startsWith('Held'))
  const asked = (await questions()) - askedBefore
  const interval = (performance.now() - from) / 1000 / Math.max(1, asked)
  const uids = ending.map(({ pod }) => pod.metadata.uid!)
  const endSeen = await seen.all(uids, isOver)
  seen.close()
  const heldLags = [...heldSeen].map(([uid, at]) => at - heldAt.get(uid)!)
  const endLags = await Promise.all(
    [...endSeen].map(async ([uid, at]) => at - (await finishedAt(plugin.root, `default-${uid}`)))
  )
  const figures = (name: string, lags: readonly number[]): Figures => ({
    [`${name}StalenessP50Ms`]: round(percentile(lags, 0.5), 0),
    [`${name}StalenessP95Ms`]: round(percentile(lags, 0.95), 0)
  })
  say(
    `${jobs} jobs: one condor_q per ${round(interval)} s, staleness p95 ${round(percentile(heldLags, 0.95) / 1000, 2)} s`
  )
  return {
    condorQEverySeconds: round(interval),
    ...figures('queue', heldLags),
    ...figures('end', endLags)
  }
}
