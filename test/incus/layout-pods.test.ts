import t from 'tap'
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import type { PodStatus } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { letGo, makeSizedPool, sizedPoolMissing, startIncusPlugin } from './incus-plugin.ts'
import { exec, leftIn, shell, splitPod } from './split-pods.ts'

void t.test('what pods have in several instances', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab({ network: true })
  t.teardown(() => lab.close())
  const open = join(lab.dir, 'open')
  await mkdir(open)
  await chmod(open, 0o777)
  const { client } = await startIncusPlugin(
    t,
    lab,
    undefined,
    {},
    { policy: { hostPaths: [{ path: open, readOnly: false }] } as never }
  )
  const none = () => eventually(async () => (await leftIn(lab)).length === 0)

  t.test('each has the files, the variables and the directories that its own container names', async (t) => {
    const [config, key, all, data] = ['config', 'key', 'all', 'data'].map((name) => ({
      name,
      mountPath: `/${name}`
    }))
    const uses = [
      'cat /config/a /key/k /all/token; stat -Lc %a /key/k; echo "$TOKEN"',
      'echo from main >/data/main; echo bye >/dev/termination-log; exit 4'
    ]
    // A pattern that is not in the script itself.
    const looks = [
      'cat /config/a; echo "${TOKEN-none}"; grep -rl "secret-wor[d]" /.interlink/volumes /.interlink/c',
      'ls /.interlink/volumes; ls /.interlink-host 2>/dev/null; true'
    ]
    const pod = splitPod({
      volumes: [
        { name: 'config', configMap: { name: 'settings' } },
        { name: 'key', secret: { secretName: 'key', defaultMode: 0o400 } },
        { name: 'all', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
        { name: 'data', hostPath: { path: open, type: 'Directory' } }
      ],
      containers: [
        shell('main', uses.join('; '), {
          env: [{ name: 'TOKEN', value: 'word' }],
          volumeMounts: [config, key, all, data]
        }),
        shell('other', looks.join('; '), { volumeMounts: [config] })
      ]
    })
    const objects = {
      configMaps: [{ metadata: { name: 'settings' }, data: { a: 'set\n' } }],
      secrets: [{ metadata: { name: 'key' }, data: { k: Buffer.from('secret-word\n').toString('base64') } }],
      projectedvolumemaps: [{ metadata: { name: 'all' }, data: { token: 'bearer\n' } }]
    }
    pod.container = ['main', 'other'].map((name) => ({ name, ...objects })) as never
    await client.create(pod)
    const { containers } = await whenStatus(client, pod, isOver)
    t.match(containers[0], { state: { terminated: { exitCode: 4, message: 'bye\n' } } })
    t.equal(await logOf(client, pod), 'set\nsecret-word\nbearer\n400\nword\n')
    t.equal(await logOf(client, pod, 'other'), 'set\nnone\nconfig\n')
    t.equal(await readFile(join(open, 'main'), 'utf8'), 'from main\n')
    await none()
  })

  t.test('files that they share have one owner and one group in all of them', async (t) => {
    const until = (name: string) => `until [ -s /shared/${name} ]; do sleep 0.1; done`
    const pod = splitPod({
      securityContext: { fsGroup: 2000 },
      initContainers: [shell('first', 'mkdir /shared/deep; echo made >/shared/deep/first')],
      containers: [
        shell('one', `umask 007; id -u; echo of one >/shared/one; ${until('two')}; cat /shared/two`, {
          securityContext: { runAsUser: 1001 }
        }),
        shell(
          'two',
          `umask 007; ${until('one')}; cat /shared/one; echo more >>/shared/one; stat -c '%u %g' /shared/one /shared/deep/first; echo of two >/shared/two`,
          { securityContext: { runAsUser: 1002, runAsGroup: 3000 } }
        )
      ]
    })
    await client.create(pod)
    await whenStatus(client, pod, isOver)
    t.equal(await logOf(client, pod, 'one'), '1001\nof two\n')
    t.equal(await logOf(client, pod, 'two'), 'of one\n1001 2000\n0 2000\n')
    await none()
  })

  t.test('a directory that they share is held to its size, where the storage pool can', async (t) => {
    if (!requireReal(t, sizedPoolMissing())) return
    await makeSizedPool(lab)
    const { client: sized } = await startIncusPlugin(t, lab, undefined, { profiles: ['default', 'sized'] })
    const fill = 'dd if=/dev/urandom of=/shared/x bs=1M count=64 2>/dev/null || echo full'
    const podOf = () =>
      splitPod({
        volumes: [{ name: 'shared', emptyDir: { sizeLimit: '32Mi' } }],
        initContainers: [shell('fills', fill)],
        containers: [shell('sees', 'wc -c </shared/x')]
      })
    const held = podOf()
    await sized.create(held)
    const { notices = [] } = await whenStatus(sized, held, isOver)
    t.same(
      notices.filter(({ reason }) => reason === 'SizeLimitNotHeld'),
      []
    )
    t.equal(await logOf(sized, held, 'fills'), 'full\n')
    const seen = Number(await logOf(sized, held, 'sees'))
    t.ok(seen > 0 && seen <= 32 * 1024 * 1024, `${seen} bytes`)
    await eventually(async () => (await leftIn(lab, 'sized')).length === 0)

    const open = podOf()
    await client.create(open)
    const over = await whenStatus(client, open, isOver)
    t.match(
      over.notices?.find(({ reason }) => reason === 'SizeLimitNotHeld'),
      { message: /\(shared\): its storage pool cannot hold one/ }
    )
    t.equal(await logOf(client, open, 'sees'), `${64 * 1024 * 1024}\n`)
    await none()
  })

  t.test("the address of a pod is its first main container's, from its start to the end", async (t) => {
    const pod = splitPod({
      terminationGracePeriodSeconds: 1,
      initContainers: [shell('first', 'until [ -e /go ]; do sleep 0.1; done')],
      containers: [
        shell('one', `nc -ll -p 8080 -e echo hello & until [ -e /shared/done ]; do sleep 0.1; done`),
        shell(
          'two',
          `until [ -s /shared/ip ]; do sleep 0.2; done; until nc "$(cat /shared/ip)" 8080 </dev/null; do sleep 0.2; done; sleep 600`
        )
      ]
    })
    const { PodJID } = await client.create(pod)
    const seen: string[] = []
    const seeing = ({ podIP }: PodStatus) => {
      if (podIP !== undefined && !seen.includes(podIP)) seen.push(podIP)
      return podIP
    }
    const first = PodJID.replace('*', 'first')
    await eventually(async () => /inet 10\./.test(await lab.run('exec', first, '--', 'ip', 'addr')))
    await whenStatus(client, pod, (status) => {
      seeing(status)
      return status.initContainers![0]!.state?.running
    })
    t.same(seen, [], 'not that of an init container')
    await letGo(lab, first)
    const { podIP } = await whenStatus(client, pod, (status) => seeing(status) && isRunning(status))
    t.equal(await eventually(() => text(connect(8080, podIP!))), 'hello\n')
    await exec(client, pod, 'one', `echo ${podIP} >/shared/ip`)
    await eventually(async () => (await logOf(client, pod, 'two')) === 'hello\n')
    await exec(client, pod, 'one', 'touch /shared/done')
    await whenStatus(client, pod, (status) => {
      seeing(status)
      return status.containers[0]!.state?.terminated
    })
    await client.delete(refOf(pod))
    await eventually(async () => {
      const status = await statusOf(client, pod)
      if (status) seeing(status)
      return !status
    })
    t.same(seen, [podIP])
    await none()
  })

  t.test('ten of them, of which some have names that are long and begin alike', async (t) => {
    const long = (end: string) => `${'x'.repeat(61)}${end}`
    const few = Array.from({ length: 7 }, (_, index) => `c${index}`)
    const names = [long('-a'), long('-b'), long('yb'), ...few]
    const twice = (name: string) =>
      `n=0; [ -e /twice ] && n=1; touch /twice; echo "run $n of ${name}"; [ $n = 1 ] || exit 1`
    const pod = splitPod({
      restartPolicy: 'OnFailure',
      containers: names.map((name) => shell(name, twice(name)))
    })
    await client.create(pod)
    const { containers } = await whenStatus(client, pod, isOver)
    t.same(
      containers.map(({ restartCount }) => restartCount),
      names.map(() => 1)
    )
    const said = (opts: object) => Promise.all(names.map((name) => logOf(client, pod, name, opts)))
    t.same(
      await said({}),
      names.map((name) => `run 1 of ${name}\n`)
    )
    t.same(
      await said({ Previous: true }),
      names.map((name) => `run 0 of ${name}\n`)
    )
    await none()
  })
})
