import t from 'tap'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { controlPlaneUnavailable } from '../kube/control-plane.ts'
import { eachCluster } from '../support/clusters.ts'
import { eventually } from '../support/eventually.ts'
import { createBy, isFinished, killOver, nameOf, podsBy, processesWith } from '../support/kill-over.ts'
import { startStack, type Role, type Stack } from '../support/stack.ts'
import { shellPod } from '../e2e/workloads.ts'

const count = 200
const roles: readonly Role[] = ['plugin', 'vk', 'api-0', 'api-1']

const chaos = (stack: Stack) =>
  killOver(
    roles.map((role) => [role, () => stack.restart(role).then(() => stack.up())] as const),
    { shortestMs: 200, stepMs: 170 }
  )

const supervisorsAlive = (stack: Stack): Promise<number[]> =>
  processesWith(async (file) => (await file('cmdline')).includes(`${stack.jobs}/`))

eachCluster(t, async (t, cluster) => {
  // minutes of kills on one cluster are enough: on the real one where it can run
  if (cluster.kind === 'dev' && controlPlaneUnavailable() === undefined) return
  const stack = await startStack({
    kubeconfigPath: cluster.kubeconfigPath,
    node: { resources: { cpu: '1000', memory: '1Ti', pods: '1000' } }
  })
  t.after(() => stack.stop())
  const markers = join(stack.dir, 'markers')
  await mkdir(markers)
  const { kubectl } = cluster
  const pods = podsBy(kubectl)
  const create = (items: readonly Pod[]) => createBy(kubectl, items)

  await t.test(`${count} pods run once each while every part is killed over and over`, async (t) => {
    const monkey = chaos(stack)
    await create(
      Array.from({ length: count }, (_, index) =>
        shellPod({
          name: nameOf('run', index),
          script: `echo started >> ${markers}/${nameOf('run', index)}; sleep 1`
        })
      )
    )
    const finished = async () => (await pods()).filter(isFinished)
    await eventually(async () => (await finished()).length >= count / 2, {
      deadlineMs: 240_000,
      everyMs: 1000
    })
    const kills = await monkey.stop()
    t.comment(JSON.stringify(kills))
    for (const role of roles) t.ok(kills[role]! > 0, `${role} was killed`)
    await eventually(async () => (await finished()).length === count, { deadlineMs: 240_000, everyMs: 1000 })

    t.same(
      (await pods()).filter((pod) => pod.status!.phase !== 'Succeeded').map((pod) => pod.metadata.name),
      [],
      'none lost'
    )
    const starts = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        readFile(join(markers, nameOf('run', index)), 'utf8').catch(() => '')
      )
    )
    t.same(starts.filter((text) => text !== 'started\n').length, 0, 'each ran exactly once, by its own word')
    const jobs = await readdir(stack.jobs)
    const uids = new Set((await pods()).map((pod) => `default-${pod.metadata.uid}`))
    const directories = jobs.filter((directory) => uids.has(directory))
    t.equal(directories.length, count, 'one job directory a pod')
    for (const directory of directories) {
      const attempts = await readdir(join(stack.jobs, directory, 'log'))
      if (attempts.length !== 1) t.fail(`${directory} has attempts ${attempts.join(', ')}`)
    }
  })

  await t.test(`${count} running pods end and go while every part is killed over and over`, async (t) => {
    await create(
      Array.from({ length: count }, (_, index) =>
        shellPod({ name: nameOf('end', index), script: 'exec sleep 1000' })
      )
    )
    const running = async () =>
      (await pods()).filter((pod) => pod.metadata.name!.startsWith('end-') && pod.status!.phase === 'Running')
    await eventually(async () => (await running()).length === count, { deadlineMs: 240_000, everyMs: 1000 })
    const monkey = chaos(stack)
    await kubectl(['delete', 'pods', '--all', '--wait=false', '--grace-period=2'])
    await eventually(async () => (await pods()).length <= count / 2, { deadlineMs: 240_000, everyMs: 1000 })
    await monkey.stop()
    await eventually(async () => (await pods()).length === 0, { deadlineMs: 240_000, everyMs: 1000 })
    await eventually(async () => (await supervisorsAlive(stack)).length === 0, {
      deadlineMs: 180_000,
      everyMs: 1000
    })
    t.pass('no object and no process is left')
  })

  await t.test('a backend that cannot be reached makes the node NotReady and changes no pod', async (t) => {
    await create([shellPod({ name: 'untouched', script: 'exec sleep 1000' })])
    const pod = () => pods().then((items) => items.find((item) => item.metadata.name === 'untouched')!)
    await eventually(async () => (await pod()).status?.containerStatuses?.[0]?.ready)
    const before = (await pod()).status
    await stack.kill('plugin')
    const ready = async () =>
      (
        await kubectl([
          'get',
          'node',
          stack.nodeName,
          '-o',
          'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        ])
      ).stdout
    await eventually(async () => (await ready()) === 'False', { deadlineMs: 180_000 })
    const after = (await pod()).status!
    t.equal(after.phase, 'Running')
    t.same(after.containerStatuses, before!.containerStatuses)
    await stack.restart('plugin')
    await eventually(async () => (await ready()) === 'True')
    t.same(
      (await pod()).status!.containerStatuses,
      before!.containerStatuses,
      'the same container, found again'
    )
    await kubectl(['delete', 'pod', 'untouched', '--grace-period=1', '--timeout=60s'])
  })

  await t.test(
    'a job that the backend has lost fails with words, and is never run a second time',
    async (t) => {
      const marker = join(markers, 'lost')
      await create([shellPod({ name: 'lost', script: `echo started >> ${marker}; exec sleep 1000` })])
      const pod = () => pods().then((items) => items.find((item) => item.metadata.name === 'lost')!)
      const { metadata } = await eventually(async () => {
        const seen = await pod()
        return seen.status?.phase === 'Running' && seen
      })
      const state = await readFile(join(stack.jobs, `default-${metadata.uid}`, 'state', 'supervisor'), 'utf8')
      process.kill(Number(/^pid=(\d+)/m.exec(state)![1]), 'SIGKILL')
      const failed = await eventually(
        async () => {
          const seen = await pod()
          return seen.status?.phase === 'Failed' && seen
        },
        { deadlineMs: 180_000 }
      )
      t.match(failed.status!.reason, /Lost/)
      t.equal(await readFile(marker, 'utf8'), 'started\n')
      await kubectl(['delete', 'pod', 'lost', '--grace-period=1', '--timeout=60s'])
      await eventually(async () => (await supervisorsAlive(stack)).length === 0)
    }
  )
})
