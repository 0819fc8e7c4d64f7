import t from 'tap'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { shellPod } from '../e2e/workloads.ts'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { createBy, isFinished, killOver, nameOf, podsBy, processesWith } from '../support/kill-over.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack, type Stack } from '../support/stack.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const count = 200

const chaos = (stack: Stack, lab: HtcondorLab) =>
  killOver(
    [
      ['plugin', () => stack.restart('plugin').then(() => stack.up())],
      ['shadow', () => killShadow(lab)],
      ['schedd', () => lab.kill('schedd').then(() => lab.start('schedd'))],
      ['shadow', () => killShadow(lab)],
      ['startd', () => lab.kill('n1').then(() => lab.start('n1'))]
    ],
    { shortestMs: 500, stepMs: 370 }
  )

/** One of those of the lab, if there is any; resolves with whether. */
async function killShadow(lab: HtcondorLab): Promise<boolean> {
  const mine = `CONDOR_CONFIG=${lab.dir}/schedd/`
  const shadows = await processesWith(
    async (file) => (await file('comm')) === 'condor_shadow\n' && (await file('environ')).includes(mine)
  )
  return shadows.some((pid) => {
    try {
      return process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
      return false
    }
  })
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
    plugin: {
      options: {
        ...lab.options,
        querySeconds: 1,
        timeouts: { endedSeconds: 5 },
        // A job that its machine knows no more is given up by its lease, not after HTCondor's forty minutes.
        submit: { extra: ['job_lease_duration = 90'] }
      }
    },
    env: lab.env,
    node: { resources: { cpu: '1000', memory: '1Ti', pods: '1000' } }
  })
  t.teardown(() => stack.stop())
  const markers = join(stack.dir, 'markers')
  await mkdir(markers)
  const { kubectl } = cluster
  const pods = podsBy(kubectl)
  const podOf = (name: string, script: string) => {
    const pod = shellPod({ name, script })
    return { ...pod, spec: { ...pod.spec, nodeName: stack.nodeName, restartPolicy: 'OnFailure' } } as Pod
  }
  const minutes = { deadlineMs: 400_000, everyMs: 1000 }

  t.test(
    `${count} pods run to their end, or go, while plugin, schedd, startd and shadows are killed`,
    async (t) => {
      const monkey = chaos(stack, lab)
      // The lock tells of a second run beside the first; the file of a second one after it.
      const run = (name: string) => {
        const file = `${markers}/${name}`
        return podOf(
          name,
          `exec 9>${file}.lock; flock -n 9 || echo beside >>${file}; sleep 2; echo done >>${file}`
        )
      }
      await createBy(
        kubectl,
        Array.from({ length: count }, (_, index) =>
          index % 4 === 0 ? podOf(nameOf('end', index), 'exec sleep 1000') : run(nameOf('run', index))
        )
      )
      const runs = async () => (await pods()).filter(({ metadata }) => metadata.name!.startsWith('run-'))
      const ends = async () => (await pods()).filter(({ metadata }) => metadata.name!.startsWith('end-'))
      const over = async () => (await runs()).filter(isFinished)
      await eventually(
        async () => (await ends()).filter(({ status }) => status!.phase === 'Running').length >= 10,
        minutes
      )
      const names = (await ends()).map(({ metadata }) => metadata.name!)
      await kubectl(['delete', 'pods', ...names, '--wait=false', '--grace-period=2'])
      await eventually(
        async () => (await over()).length >= count / 4 && (await ends()).length <= count / 8,
        minutes
      )
      const kills = await monkey.stop()
      t.comment(JSON.stringify(kills))
      for (const part of ['plugin', 'schedd', 'startd', 'shadow'])
        t.ok(kills[part]! > 0, `${part} was killed`)
      await eventually(async () => (await over()).length === (await runs()).length, minutes)
      t.same(
        (await runs())
          .filter(({ status }) => status!.phase !== 'Succeeded')
          .map(({ metadata, status }) => `${metadata.name} ${status!.reason} ${status!.message}`),
        [],
        'none lost'
      )
      const said = await Promise.all(
        (await runs()).map(async ({ metadata, status }) => ({
          name: metadata.name,
          restarts: status!.containerStatuses![0]!.restartCount ?? 0,
          text: await readFile(join(markers, metadata.name!), 'utf8').catch(() => '')
        }))
      )
      t.equal(said.length, (count * 3) / 4)
      // What is killed between its last word and its end has not ended: it is run once more, and says so.
      const isOnce = (text: string, restarts: number) =>
        /^(done\n)+$/.test(text) && text.length <= 'done\n'.length * (1 + restarts)
      t.same(
        said.filter(({ text, restarts }) => !isOnce(text, restarts)),
        [],
        'each was done once, or as often as it is told to have been restarted; never by two at a time'
      )
      await eventually(async () => (await ends()).length === 0, minutes)
      await eventually(
        async () => (await lab.run('condor_q', '-af', 'ClusterId', 'JobStatus', 'InterLinkPodName')) === '',
        minutes
      )
      await eventually(
        async () =>
          (await processesWith(async (file) => (await file('cmdline')).includes(`${stack.jobs}/`))).length ===
          0,
        minutes
      )
      t.pass('no object, no job and no process is left')
    }
  )
}
