import t from 'tap'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, makeSizedPool, sizedPoolMissing, startIncusPlugin } from './incus-plugin.ts'

interface Shown {
  readonly config: Readonly<Record<string, string>>
  readonly profiles: readonly string[]
}

void t.test('what pods ask of their instances, and what a site gives', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const shown = async (name: string) =>
    (JSON.parse(await lab.run('list', name, '--format=json')) as [Shown])[0]

  t.test('limits of its containers are those of the instance, and the kernel holds them', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const pod = incusPod('nproc; sleep 600', {
      container: { resources: { limits: { cpu: '500m', memory: '64Mi' } } }
    })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    const { config } = await shown(PodJID)
    t.equal(config['limits.cpu'], '1')
    t.equal(config['limits.cpu.allowance'], '50ms/100ms')
    t.equal(config['limits.memory'], `${(64 + 128) * 1024 * 1024}B`)
    t.equal(await eventually(() => logOf(client, pod)), '1\n')
    const { cpu } = JSON.parse(await lab.run('query', `/1.0/instances/${PodJID}/state`)) as {
      cpu: { allocated_time: number }
    }
    t.equal(cpu.allocated_time, 500_000_000)
    await lab.run('delete', '--force', PodJID)
  })

  t.test('what pods use is in one answer of the server; of several containers, each by itself', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const busy = 'while :; do i=0; while [ "$i" -lt 1000 ]; do i=$((i + 1)); done; done'
    const single = incusPod(busy)
    const double = incusPod(busy)
    double.pod.spec.containers.push({
      name: 'large',
      image: 'busybox',
      command: ['/bin/sh', '-c', `exec perl -e '$x = "x" x 60_000_000; sleep 600'`]
    })
    for (const pod of [single, double]) await client.create(pod)
    for (const pod of [single, double]) await whenStatus(client, pod, isRunning)
    const [alone, both] = await eventually(
      async () => {
        const all = await client.usage()
        const of = (pod: typeof single) => all.find(({ UID }) => UID === pod.pod.metadata.uid)?.containers
        const [alone, both] = [of(single), of(double)]
        const has = (name: string, what: 'cpuSeconds' | 'memoryBytes', least: number) =>
          both?.some((each) => each.name === name && each[what] > least)
        const isThere = has('large', 'memoryBytes', 50_000_000) && has('main', 'cpuSeconds', 2)
        return alone && alone[0]!.cpuSeconds > 1 && both && isThere ? ([alone, both] as const) : undefined
      },
      { deadlineMs: 180_000, everyMs: 1000 }
    )
    t.match(alone, [{ name: 'main' }])
    t.ok(alone[0]!.memoryBytes > 100_000 && alone[0]!.memoryBytes < 50_000_000)
    t.same(both.map(({ name }) => name).sort(), ['large', 'main'])
    const [main, large] = ['main', 'large'].map((name) => both.find((each) => each.name === name)!)
    t.ok(main!.cpuSeconds > large!.cpuSeconds, 'one counts')
    t.ok(main!.memoryBytes < large!.memoryBytes, 'the other one holds')
    for (const pod of [single, double]) await client.delete(refOf(pod))
    await eventually(async () => (await instancesOf(lab)).length === 0)
  })

  t.test(
    'local storage is limited by the root disk, where the pool can; a pod that fills it is evicted',
    async (t) => {
      if (!requireReal(t, sizedPoolMissing())) return
      await makeSizedPool(lab)
      const { client } = await startIncusPlugin(t, lab, undefined, { profiles: ['sized'] })
      const limited = (script: string, storage: string) =>
        incusPod(script, { container: { resources: { limits: { 'ephemeral-storage': storage } } } })
      await eventually(
        async () => (await client.ping()).parsed?.resources?.ephemeralStorage === `${512 * 1024}Ki`
      )
      const noticesOf = (pod: ReturnType<typeof incusPod>) =>
        whenStatus(client, pod, isOver).then(({ notices = [] }) => notices)

      await t.rejects(client.create(limited('true', '1M')), {
        code: 'PLUGIN_BACKEND_REFUSED',
        message: /image takes more than the 1000000 bytes .*ephemeral-storage limits/
      })
      const modest = limited('dd if=/dev/urandom of=/x bs=1M count=20 2>/dev/null && echo fits', '100M')
      modest.pod.spec.volumes = [{ name: 'part', emptyDir: { sizeLimit: '10Mi' } }]
      modest.pod.spec.containers[0]!.volumeMounts = [{ name: 'part', mountPath: '/part' }]
      await client.create(modest)
      t.match(await noticesOf(modest), [{ reason: 'SizeLimitNotHeld', message: /part.* counts to the disk/ }])
      t.equal(await logOf(client, modest), 'fits\n')

      const greedy = limited(
        'echo before; while :; do dd if=/dev/urandom bs=64k >>/x 2>/dev/null; sleep 0.1; done',
        '100M'
      )
      await client.create(greedy)
      const { reason, message } = await whenStatus(client, greedy, isOver)
      t.equal(reason, 'Evicted')
      t.match(message, /local storage usage exceeds the total limit of containers 100000000/)
      t.equal(await logOf(client, greedy), 'before\n')

      const { client: other } = await startIncusPlugin(t, lab)
      const open = limited('echo here', '1M')
      await other.create(open)
      const { notices } = await whenStatus(other, open, isOver)
      t.match(
        notices?.find(({ reason }) => reason === 'EphemeralStorageNotLimited'),
        { message: /pool .* cannot hold a size/ }
      )
    }
  )

  t.test('quotas of the project are what the node offers, and Incus holds them', async (t) => {
    const project = ['-c', 'features.images=false', '-c', 'features.profiles=false']
    await lab.run('project', 'create', 'pods', ...project)
    for (const quota of ['limits.memory=512MiB', 'limits.cpu=1', 'limits.instances=3'])
      await lab.run('project', 'set', 'pods', quota)
    const { client } = await startIncusPlugin(t, lab, undefined, { project: 'pods' })
    const resources = await eventually(async () => (await client.ping()).parsed?.resources)
    t.match(resources, { cpu: '1', memory: '524288Ki', pods: '3' })
    await t.rejects(client.create(incusPod('true')), {
      code: 'PLUGIN_BACKEND_REFUSED',
      message: /has no "limits\.(cpu|memory)" config/
    })
    const limits = { cpu: '1', memory: '64Mi' }
    const pod = incusPod('echo within', { container: { resources: { limits } } })
    await client.create(pod)
    await whenStatus(client, pod, isOver)
    t.equal(await logOf(client, pod), 'within\n')
    await eventually(async () => (await lab.run('list', '--project', 'pods', '-f', 'csv')) === '')
  })

  t.test('a directory that the site has opened is in the pod, writable only where it says so', async (t) => {
    const data = join(lab.dir, 'data')
    await mkdir(data, { mode: 0o755 })
    await writeFile(join(data, 'word'), 'of the host\n')
    const volumes = (path: string, readOnly: boolean) => ({
      spec: { volumes: [{ name: 'data', hostPath: { path } }] },
      container: { volumeMounts: [{ name: 'data', mountPath: '/data', readOnly }] }
    })
    const script = 'cat /data/word; echo more >/data/word && echo written || echo refused'
    for (const readOnly of [true, false]) {
      const policy = { hostPaths: [{ path: data, readOnly }] }
      const { client } = await startIncusPlugin(t, lab, undefined, {}, { policy })
      await t.rejects(client.create(incusPod('true', volumes('/etc', true))), { message: /hostPath/ })
      const pod = incusPod(script, volumes(data, readOnly))
      await client.create(pod)
      await whenStatus(client, pod, isOver)
      t.match(await logOf(client, pod), readOnly ? /^of the host\n[^]*refused\n/ : /^of the host\nwritten\n$/)
    }
    t.equal(await readFile(join(data, 'word'), 'utf8'), 'more\n')
  })

  t.test('containers are the user and the groups that they ask for, and reach their volumes', async (t) => {
    const { client } = await startIncusPlugin(t, lab)
    const securityContext = { runAsUser: 1234, runAsGroup: 2345, fsGroup: 3456, supplementalGroups: [4567] }
    const script = [
      'echo "$(id -u) $(id -g) $(id -G)"',
      'touch /data/x /memory/x && stat -c "%u:%g" /data/x /memory/x',
      'touch /etc/x 2>/dev/null || echo not root',
      'echo words >/dev/termination-log',
      'echo by name >/dev/stdout'
    ]
    const pod = incusPod(script.join('; '), {
      spec: {
        securityContext,
        volumes: [
          { name: 'data', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory' } }
        ]
      },
      container: {
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'memory', mountPath: '/memory' }
        ]
      }
    })
    await client.create(pod)
    const { containers, notices = [] } = await whenStatus(client, pod, isOver)
    const said = '1234 2345 2345 3456 4567\n1234:3456\n1234:3456\nnot root\nby name\n'
    t.equal(await logOf(client, pod), said)
    t.match(containers[0]!.state!.terminated, { exitCode: 0, message: 'words\n' })
    t.notOk(notices.find(({ reason }) => reason === 'UserNotMapped' || reason === 'GroupsNotGiven'))
    await t.rejects(client.create(incusPod('true', { spec: { securityContext: { runAsNonRoot: true } } })), {
      code: 'PLUGIN_REFUSED',
      message: /runAsNonRoot.*give a uid as runAsUser/
    })
  })

  t.test('profiles are those of the site, and those that a pod may choose', async (t) => {
    await lab.run('profile', 'create', 'small')
    await lab.run('profile', 'set', 'small', 'limits.processes', '77')
    const { client } = await startIncusPlugin(t, lab, undefined, { podProfiles: ['small'] })
    const wrong: readonly [Record<string, string>, RegExp][] = [
      [{ 'interlink.io/incus-profiles': 'small,root' }, /"root" is none that pods may choose; .*small/],
      [
        { 'interlink.io/incus-type': 'qemu' },
        /incus-type\].*"qemu" is no type; expected one of container, vm/
      ],
      [{ 'interlink.io/incus-profile': 'small' }, /incus-profile\].*known are .*incus-profiles/]
    ]
    const shared = incusPod('true', { spec: { hostNetwork: true } })
    await t.rejects(client.create(shared), { code: 'PLUGIN_REFUSED', message: /hostNetwork.*of their own/ })
    for (const [annotations, message] of wrong)
      await t.rejects(client.create(incusPod('true', { annotations })), { code: 'PLUGIN_REFUSED', message })
    const pod = incusPod('sleep 600', { annotations: { 'interlink.io/incus-profiles': ' small ' } })
    const { PodJID } = await client.create(pod)
    t.same((await shown(PodJID)).profiles, ['default', 'small'])
    await lab.run('delete', '--force', PodJID)
  })
})
