import t from 'tap'
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode, type Container } from '@interlink-ts/interlink-api/wire'
import type { JobKeeper } from '../src/kit/jobs/job-keeper.ts'
import { openLog } from '../src/kit/jobs/log-reader.ts'
import { isOver, openKeeper, shellPod, until, workDirectory } from './support-plugin.ts'

const created = (pod: ReturnType<typeof shellPod>) => decode('RetrievedPodData', pod)

/** The pod with ephemeral containers, of which `name` is asked for. */
function addition({ pod }: ReturnType<typeof shellPod>, containers: readonly object[], name = 'debug') {
  const spec = { ...pod.spec, ephemeralContainers: containers.map((one) => ({ image: 'host', ...one })) }
  return decode('EphemeralRequest', { pod: { ...pod, spec }, container: name })
}
const script = (text: string, more: Partial<Container> = {}) => ({
  name: 'debug',
  command: ['/bin/sh', '-c', text],
  ...more
})
const statusOf = (keeper: JobKeeper, uid: string, name = 'debug') =>
  keeper.board.get(uid)?.ephemeralContainers?.find((one) => one.name === name)

t.test(
  'an ephemeral container joins the volumes of its pod, and the end of the pod is its own',
  async (t) => {
    const root = await workDirectory(t)
    const keeper = await openKeeper(t, root)
    const volumes = {
      volumes: [{ name: 'data', emptyDir: {} }],
      terminationGracePeriodSeconds: 1
    }
    const volumeMounts = [{ name: 'data', mountPath: '/mnt' }]
    const pod = shellPod('echo from main >/mnt/note; until [ -e /mnt/go ]; do sleep 0.1; done', {
      spec: volumes,
      container: { volumeMounts }
    })
    const { uid } = pod.pod.metadata
    await keeper.create(created(pod))
    const dir = keeper.get(uid)!.dir
    await until(() => keeper.board.get(uid)?.containers[0]?.state?.running !== undefined, 'running')
    const ask = addition(pod, [script('cat /mnt/note; : >/mnt/go; sleep 1000', { volumeMounts })])
    await Promise.all([keeper.addEphemeral(ask), keeper.addEphemeral(ask)])
    await until(() => statusOf(keeper, uid)?.state?.terminated !== undefined, 'ended')
    t.match(statusOf(keeper, uid), {
      state: { terminated: { exitCode: 143, reason: 'Error', startedAt: String, finishedAt: String } },
      restartCount: 0
    })
    const log = await openLog({ dir, container: 'debug', isRunning: () => false })
    t.equal(Buffer.concat(await log.toArray()).toString(), 'from main\n')
    t.equal(await readFile(join(dir, 'additions'), 'utf8'), 'debug\n', 'it was added once')
  }
)

t.test('an addition that was interrupted anywhere is finished by the next call for it', async (t) => {
  const root = await workDirectory(t)
  const before = await openKeeper(t, root)
  const pod = shellPod('until [ -e "$GO" ]; do sleep 0.1; done', {
    container: { env: [{ name: 'GO', value: join(root, 'go') }] },
    spec: { terminationGracePeriodSeconds: 1 }
  })
  const { uid } = pod.pod.metadata
  await before.create(created(pod))
  const dir = before.get(uid)!.dir
  await until(() => before.board.get(uid)?.containers[0]?.state?.running !== undefined, 'running')
  // Half of the files of a container that is in no plan; then one that is, but of which nobody was told.
  await mkdir(join(dir, 'c', 'debug'))
  await writeFile(join(dir, 'c', 'debug', 'conf'), 'kind=')
  await mkdir(join(dir, 'additions'))
  const ask = addition(pod, [
    script('echo "once" >>"$OUT"; exit 6', { env: [{ name: 'OUT', value: join(root, 'out') }] })
  ])
  await t.rejects(before.addEphemeral(ask))
  await rm(join(dir, 'additions'), { recursive: true })
  await before.addEphemeral(ask)
  await before.close()
  const after = await openKeeper(t, root)
  await after.addEphemeral(ask)
  await until(() => statusOf(after, uid)?.state?.terminated !== undefined, 'ended')
  t.match(statusOf(after, uid), { state: { terminated: { exitCode: 6 } } })
  t.equal(await readFile(join(root, 'out'), 'utf8'), 'once\n')
  await writeFile(join(root, 'go'), '')
  await until(() => isOver(after.board.get(uid)), 'ended')
  t.match(after.board.get(uid)?.containers[0]?.state, { terminated: { exitCode: 0 } })
})

t.test('what cannot be honoured is refused by the words of the field, and leaves nothing', async (t) => {
  const root = await workDirectory(t)
  const keeper = await openKeeper(t, root)
  const pod = shellPod('sleep 1000', {
    spec: { volumes: [{ name: 'spare', emptyDir: {} }], terminationGracePeriodSeconds: 0 }
  })
  const { uid } = pod.pod.metadata
  await keeper.create(created(pod))
  await until(() => keeper.board.get(uid)?.containers[0]?.state?.running !== undefined, 'running')
  const first = { name: 'other', command: ['true'] }
  const cases: [object, string, RegExp][] = [
    [{ command: undefined }, 'command', /says not what to run/],
    [{ volumeMounts: [{ name: 'spare', mountPath: '/s' }] }, 'volumeMounts[0].name', /none of the pod's own/],
    [{ volumeMounts: [{ name: 'none', mountPath: '/s' }] }, 'volumeMounts[0].name', /no volume none/],
    [{ targetContainerName: 'nobody' }, 'targetContainerName', /no container nobody/],
    [{ ports: [{ containerPort: 80 }] }, 'ports', /not for ephemeral/],
    [{ resources: { limits: { cpu: '1' } } }, 'resources', /not for ephemeral/],
    [{ securityContext: { privileged: true } }, 'securityContext.privileged', /privileged/],
    [
      { securityContext: { capabilities: { add: ['NET_ADMIN'] } } },
      'securityContext.capabilities.add',
      /NET_ADMIN/
    ]
  ]
  for (const [more, field, message] of cases)
    await t.rejects(
      keeper.addEphemeral(addition(pod, [first, { ...script('true'), ...more }])),
      {
        code: 'PLUGIN_REFUSED',
        details: { refusals: [{ field: `spec.ephemeralContainers[1].${field}`, message }] }
      },
      field
    )
  await t.rejects(keeper.addEphemeral(addition(pod, [script('true', { name: 'main' })], 'main')), {
    code: 'PLUGIN_REFUSED',
    message: /ephemeralContainers\[0\].name: there is a container main already/
  })
  await t.rejects(access(join(keeper.get(uid)!.dir, 'c', 'debug')))
  t.equal(keeper.board.get(uid)?.ephemeralContainers, undefined)
  const debug = {
    ...script('true'),
    targetContainerName: 'main',
    securityContext: { capabilities: { add: ['SYS_PTRACE'] } }
  }
  await keeper.addEphemeral(addition(pod, [debug]))
  t.ok(keeper.board.get(uid)?.notices?.some(({ message }) => /SYS_PTRACE|traced without/.test(message)))
  await keeper.delete(uid, 0)
  await until(() => keeper.board.get(uid) === undefined, 'gone')
  await t.rejects(keeper.addEphemeral(addition(pod, [script('true')], 'debug')), {
    code: /PLUGIN_(UNKNOWN_POD|DELETED)/
  })
})
