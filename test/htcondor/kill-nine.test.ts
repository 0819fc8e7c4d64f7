import t from 'tap'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { shellPod } from '../e2e/workloads.ts'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack, type Stack } from '../support/stack.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const count = 200

/** Kills one part after the other, each a little later in its work than the time before, until told to stop. */
function chaos(stack: Stack, lab: HtcondorLab): { stop(): Promise<Record<string, number>> } {
  const kills: Record<string, number> = {}
  let stopped = false
  const parts: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['plugin', () => stack.restart('plugin').then(() => stack.up())],
    ['shadow', () => killShadow(lab)],
    ['schedd', () => lab.kill('schedd').then(() => lab.start('schedd'))],
    ['shadow', () => killShadow(lab)],
    ['startd', () => lab.kill('n1').then(() => lab.start('n1'))]
  ]
  const loop = (async () => {
    for (let turn = 0; !stopped; turn++) {
      const [name, kill] = parts[turn % parts.length]!
      if ((await kill()) !== false) kills[name] = (kills[name] ?? 0) + 1
      await delay(500 + 370 * (turn % 7))
    }
  })()
  return {
    stop: async () => {
      stopped = true
      await loop
      return kills
    }
  }
}

/** One of those of the lab, if there is any; resolves with whether. */
async function killShadow(lab: HtcondorLab): Promise<boolean> {
  const mine = `CONDOR_CONFIG=${lab.dir}/schedd/`
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')) !== 'condor_shadow\n') continue
    if (!(await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).includes(mine)) continue
    process.kill(Number(pid), 'SIGKILL')
    return true
  }
  return false
}

if (requireReal(t, htcondorUnprepared() ?? controlPlaneUnavailable())) {
  const [lab, cluster] = await Promise.all([
    startHtcondorLab({
      prefix,
      cpus: 30,
      memoryMiB: 64_000,
      // A machine that comes back is looked for at once, not after minutes.
      extra: ['RECONNECT_BACKOFF_CEILING = 3', 'MAX_SHADOW_EXCEPTIONS = 100']
    }),
    startControlPlane({ scheduler: false })
  ])
  t.teardown(() => lab.close())
  t.teardown(() => cluster.stop())
  const stack = await startStack({
    kubeconfigPath: cluster.kubeconfigPath,
    backend: 'htcondor',
    plugin: { options: { ...lab.options, querySeconds: 1 } },
    env: lab.env,
    node: { resources: { cpu: '1000', memory: '1Ti', pods: '1000' } }
  })
  t.teardown(() => stack.stop())
  const markers = join(stack.dir, 'markers')
  await mkdir(markers)
  const { kubectl } = cluster
  const pods = async () =>
    (JSON.parse((await kubectl(['get', 'pods', '-o', 'json'])).stdout) as { items: Pod[] }).items
  const create = async (items: Pod[]) => {
    const input = items.map((item) => JSON.stringify(item)).join('\n---\n')
    const result = await kubectl(['create', '-f', '-'], { input })
    if (result.code !== 0) throw new Error(result.stderr)
  }
  const named = (prefix: string, script: (name: string) => string) =>
    Array.from({ length: count }, (_, index) => {
      const name = `${prefix}-${String(index).padStart(3, '0')}`
      const pod = shellPod({ name, script: script(name) })
      return { ...pod, spec: { ...pod.spec, nodeName: stack.nodeName, restartPolicy: 'OnFailure' } } as Pod
    })
  const minutes = { deadlineMs: 400_000, everyMs: 1000 }

  t.test(`${count} pods run to their end while plugin, schedd, startd and shadows are killed`, async (t) => {
    const monkey = chaos(stack, lab)
    // The lock tells of a second run beside the first; the file of a second one after it.
    await create(
      named('run', (name) => {
        const file = `${markers}/${name}`
        return `exec 9>${file}.lock; flock -n 9 || echo beside >>${file}; sleep 2; echo done >>${file}`
      })
    )
    const over = async () =>
      (await pods()).filter(({ status }) => ['Succeeded', 'Failed'].includes(status!.phase!))
    await eventually(async () => (await over()).length >= count / 2, minutes)
    const kills = await monkey.stop()
    t.comment(JSON.stringify(kills))
    for (const part of ['plugin', 'schedd', 'startd', 'shadow']) t.ok(kills[part]! > 0, `${part} was killed`)
    await eventually(async () => (await over()).length === count, minutes)
    t.same(
      (await pods())
        .filter(({ status }) => status!.phase !== 'Succeeded')
        .map(({ metadata, status }) => `${metadata.name} ${status!.reason} ${status!.message}`),
      [],
      'none lost'
    )
    const said = await Promise.all(
      (await pods()).map(async ({ metadata }) => [
        metadata.name,
        await readFile(join(markers, metadata.name!), 'utf8').catch(() => '')
      ])
    )
    t.same(
      said.filter(([, text]) => text !== 'done\n'),
      [],
      'each was done once, and never by two at a time'
    )
  })
}
