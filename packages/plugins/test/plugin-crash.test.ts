import t from 'tap'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CreateOutcome, PodStatus } from '@interlink-ts/interlink-api/wire'
import {
  call,
  isOver,
  shellPod,
  startPluginProcess,
  startsIn,
  until,
  workDirectory
} from './support-plugin.ts'

t.jobs = 2

const status = async (socket: string, uid: string) =>
  (await call(socket, 'GET', '/status', [{ metadata: { uid } }])).json<PodStatus[]>()[0]

for (const crashAt of ['before render', 'after render', 'before submit', 'after submit'])
  t.test(`a plugin killed ${crashAt} of a create starts the pod exactly once`, async (t) => {
    const dir = await workDirectory(t)
    const marker = join(dir, 'marker')
    const pod = shellPod(`echo started >>${marker}; sleep 1`)
    const first = await startPluginProcess(t, dir, crashAt)
    await t.rejects(call(first.socket, 'POST', '/create', pod), 'the call is lost with the plugin')
    const second = await startPluginProcess(t, dir)
    const again = await call(second.socket, 'POST', '/create', pod)
    t.equal(again.status, 200)
    const ended = await until(async () => {
      const now = await status(second.socket, pod.pod.metadata.uid)
      return isOver(now) && now
    }, 'ended')
    t.equal(ended.containers[0]!.state!.terminated!.exitCode, 0)
    t.equal(ended.JID, again.json<{ PodJID: string }>().PodJID)
    t.equal(await startsIn(marker), 1)
  })

t.test('of several creates in one call each has its own outcome, and starts once', async (t) => {
  const dir = await workDirectory(t)
  const marker = join(dir, 'marker')
  const { socket } = await startPluginProcess(t, dir)
  const good = [0, 1, 2].map(() => shellPod(`echo started >>${marker}`))
  const refused = shellPod('true', { spec: { hostPID: true } })
  const body = [good[0], refused, good[1], {}, good[2], good[0]]
  const { status: code, json } = await call(socket, 'POST', '/create', body)
  t.equal(code, 200)
  const outcomes = json<CreateOutcome[]>()
  t.match(outcomes[1], {
    status: 422,
    error: { code: 'PLUGIN_REFUSED', refusals: [{ field: 'spec.hostPID' }] }
  })
  t.match(outcomes[3], { status: 400, error: { code: 'IL_INVALID_MESSAGE', message: /^pod: expected/ } })
  t.same(outcomes[5], outcomes[0], 'the same pod twice is one job')
  for (const [index, pod] of good.entries()) {
    const { uid } = pod.pod.metadata
    t.equal(outcomes[index * 2]!.created?.PodUID, uid)
    await until(async () => isOver(await status(socket, uid)), 'ended')
  }
  t.equal(await startsIn(marker), 3)
})

t.test('a create that was interrupted after its intent is finished without being asked again', async (t) => {
  const dir = await workDirectory(t)
  const marker = join(dir, 'marker')
  const pod = shellPod(`echo started >>${marker}`)
  const first = await startPluginProcess(t, dir, 'before submit')
  await t.rejects(call(first.socket, 'POST', '/create', pod))
  const second = await startPluginProcess(t, dir)
  await until(async () => isOver(await status(second.socket, pod.pod.metadata.uid)), 'ended')
  t.equal(await startsIn(marker), 1)
})

t.test('jobs go on while the plugin is dead, and their end is reported by the next', async (t) => {
  const dir = await workDirectory(t)
  const pods = [0, 3].map((code) => shellPod(`sleep 1; exit ${code}`))
  const long = shellPod('sleep 600')
  const first = await startPluginProcess(t, dir)
  for (const pod of [...pods, long]) await call(first.socket, 'POST', '/create', pod)
  await until(
    async () => (await status(first.socket, long.pod.metadata.uid))?.containers[0]!.state?.running,
    'running'
  )
  const before = await status(first.socket, long.pod.metadata.uid)
  await first.kill()
  const second = await startPluginProcess(t, dir)
  t.same(await status(second.socket, long.pod.metadata.uid), before, 'the same, from the first answer on')
  for (const [index, code] of [0, 3].entries()) {
    const uid = pods[index]!.pod.metadata.uid
    const ended = await until(async () => {
      const now = await status(second.socket, uid)
      return isOver(now) && now
    }, 'ended')
    t.equal(ended.containers[0]!.state!.terminated!.exitCode, code)
  }
  await call(second.socket, 'POST', '/delete', {
    metadata: { ...long.pod.metadata, deletionGracePeriodSeconds: 0 }
  })
  await until(async () => (await status(second.socket, long.pod.metadata.uid)) === undefined, 'gone')
})

for (const crashAt of ['before cancel', 'after cancel', 'before release'])
  t.test(`a plugin killed ${crashAt} of a deletion ends the pod all the same`, async (t) => {
    const dir = await workDirectory(t)
    const pod = shellPod('sleep 600')
    const { metadata } = pod.pod
    const first = await startPluginProcess(t, dir, crashAt)
    await call(first.socket, 'POST', '/create', pod)
    const exited = new Promise((resolve) => first.child.once('exit', resolve))
    await call(first.socket, 'POST', '/delete', {
      metadata: { ...metadata, deletionGracePeriodSeconds: 1 }
    }).catch(() => {})
    await exited
    const second = await startPluginProcess(t, dir)
    await until(async () => (await status(second.socket, metadata.uid)) === undefined, 'gone')
    await until(
      async () => (await readdir(join(dir, 'jobs'))).every((name) => name.startsWith('.')),
      'the directory is removed'
    )
    const late = await call(second.socket, 'POST', '/create', pod)
    t.equal(late.json<{ code: string }>().code, 'PLUGIN_DELETED')
  })
