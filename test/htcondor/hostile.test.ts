import t from 'tap'
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { decode, type RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { busyboxImage, findApptainer } from '../../packages/plugins/test/support-apptainer.ts'
import { canary, holdersBelow, watchProcessList } from '../support/canaries.ts'
import { isOver, isRunning, logOf, scriptPod, whenStatus } from '../support/plugin.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { startHtcondorPlugin } from './htcondor-plugin.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

const apptainer = await findApptainer()
const missing = htcondorUnprepared() ?? ('why' in apptainer ? apptainer.why : undefined)

if (requireReal(t, missing) && 'tool' in apptainer) {
  const lab = await startHtcondorLab({ prefix, nodes: 1, extra: ['ALL_DEBUG = D_FULLDEBUG'] })
  t.teardown(() => lab.close())
  const image = await busyboxImage(lab.dir)
  const containers = { tool: apptainer.tool }
  const touched = join(lab.dir, `touched-${randomBytes(4).toString('hex')}`)
  const evil = [
    `$(touch ${touched})`,
    `$$(touch ${touched})`,
    `$ENV(HOME) $RANDOM_CHOICE(1,2) $$([ClusterId])`,
    `\`touch ${touched}\``,
    `'; touch ${touched}; '`,
    `"\nqueue 5\nexecutable = /bin/touch\narguments = ${touched}\nqueue\n"`,
    `"" 'a' \\" \\\\ %x`
  ]
  const everythingTouched = async () =>
    [...(await readdir(lab.dir, { recursive: true })), ...(await readdir('/'))].filter(
      (path) => basename(path) === basename(touched)
    )

  t.test('whatever a pod says, it is one job, and no macro, queue or shell reads it', async (t) => {
    const { client } = await startHtcondorPlugin(t, lab)
    const script =
      'printf "%s|" "$@" | sha256sum | cut -c 1-64; ' +
      'printf "%s|" "$V0" "$V1" "$V2" "$V3" "$V4" "$V5" "$V6" | sha256sum | cut -c 1-64'
    const pod = scriptPod('', {
      annotations: { note: evil.join(' ') },
      spec: { volumes: [{ name: 'tmp', emptyDir: {} }] },
      container: {
        command: ['/bin/sh', '-c', script, 'sh', ...evil],
        env: evil.map((value, index) => ({ name: `V${index}`, value })),
        lifecycle: { postStart: { exec: { command: ['/bin/echo', ...evil] } } }
      }
    })
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 0)
    const text = evil.map((each) => `${each}|`).join('')
    // Of arguments Kubernetes has $$( stand for $(.
    t.equal(await logOf(client, pod), `${hashOf(text.replaceAll('$$(', '$('))}\n${hashOf(text)}\n`)
    // HTCondor has it a moment later than its supervisor.
    await eventually(async () => (await lab.run('condor_q', '-af', 'ClusterId')) === '')
    const jobs = await eventually(() => lab.run('condor_history', '-af', 'InterLinkPodUID'))
    t.same(jobs.trim().split('\n'), [pod.pod.metadata.uid])
    t.same(await everythingTouched(), [])
  })

  t.test('annotations reach the job as values, or are refused by their name', async (t) => {
    const { client } = await startHtcondorPlugin(t, lab)
    const said = (name: string, value: string) =>
      scriptPod('true', { annotations: { [`htcondor-job.vk.io/${name}`]: value } })
    const refused: readonly (readonly [string, string])[] = [
      ['requirements', 'true\nqueue 7'],
      ['requirements', 'Memory > (1'],
      ['rank', `$(touch ${touched})`],
      ['classads', `Cmd = "/bin/touch"`],
      ['classads', `InterLinkPodUID = "another"`],
      ['classads', 'Mine = "a"\nqueue 3'],
      ['classads', 'Mine = "$(x)"'],
      ['classads', 'Mine = "$$(x)"'],
      ['priority', '1\nqueue 3'],
      ['accounting-group', 'a" b'],
      ['concurrency-limits', 'a;b'],
      ['universe', 'local']
    ]
    const before = await lab.run('condor_history', '-af', 'ClusterId')
    for (const [name, value] of refused)
      await t.rejects(client.create(said(name, value)), { message: new RegExp(name) }, `${name}: ${value}`)
    const pod = said('classads', `Words = "say \\"x\\" %y queue 3"`)
    await client.create(pod)
    await whenStatus(client, pod, isOver)
    const ours = `InterLinkPodUID == "${pod.pod.metadata.uid}"`
    const words = await eventually(async () =>
      (await lab.run('condor_history', '-constraint', ours, '-af', 'Words')).trim()
    )
    t.equal(words, 'say "x" %y queue 3')
    t.equal(
      (await lab.run('condor_history', '-af', 'ClusterId')).split('\n').length,
      before.split('\n').length + 1
    )
    t.same(await everythingTouched(), [])
  })

  t.test('no secret of a pod is where others could read it', async (t) => {
    const log = join(lab.dir, 'plugin.log')
    const { client, root } = await startHtcondorPlugin(t, lab, undefined, { containers }, { logFile: log })
    const secrets = [canary('env'), canary('secret'), canary('token')] as const
    const pod = secretPod(secrets)
    const job = join(root, `default-${pod.pod.metadata.uid}`)
    const processes = watchProcessList(secrets)
    t.teardown(processes.stop)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    const holders = await holdersBelow(lab.dir, secrets)
    const shown = [
      await lab.run('condor_q', '-long', PodJID),
      await lab.run('condor_status', '-long'),
      await lab.run('condor_q', '-long', '-json')
    ]
    await writeFile(join(job, 'volumes/hold/go'), '')
    await whenStatus(client, pod, isOver)
    shown.push(await eventually(() => lab.run('condor_history', '-long', PodJID)))
    t.equal(await logOf(client, pod), `${secrets.map(hashOf).join(' ')}\n`, 'the container has them all')
    t.same(processes.stop(), [])
    for (const secret of secrets) t.notOk(shown.join('\n').includes(secret))
    const all = [...holders, ...(await holdersBelow(lab.dir, secrets))]
    t.ok(all.length > 0, 'the job directory was looked through')
    t.same(
      all.filter(({ open }) => open).map(({ path }) => path),
      [],
      'none is open to others'
    )
    t.same(
      all.filter(({ path }) => !path.includes(job)).map(({ path }) => path),
      [],
      'none is elsewhere: in no log of a daemon, no queue, no history'
    )
    t.match(await readFile(log, 'utf8'), /job submitted/)
  })

  /** It waits until `hold/go` is there. */
  function secretPod([env, secret, token]: readonly [string, string, string]): RetrievedPodData {
    const { pod } = scriptPod(
      'for each in "$SECRET" "$(cat /s/key)" "$(cat /t/token)"; do printf %s "$each" | sha256sum; done | cut -c 1-64 | xargs; ' +
        'until [ -e /hold/go ]; do sleep 0.1; done',
      {
        spec: {
          volumes: [
            { name: 's', secret: { secretName: 's' } },
            { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
            { name: 'hold', emptyDir: {} }
          ]
        },
        container: {
          image,
          env: [{ name: 'SECRET', value: env }],
          volumeMounts: [
            { name: 's', mountPath: '/s' },
            { name: 't', mountPath: '/t' },
            { name: 'hold', mountPath: '/hold' }
          ]
        }
      }
    )
    return decode('RetrievedPodData', {
      pod,
      container: [
        {
          name: 'main',
          secrets: [{ metadata: { name: 's' }, data: { key: Buffer.from(secret).toString('base64') } }],
          projectedvolumemaps: [{ metadata: { name: 't' }, data: { token } }]
        }
      ]
    }) as RetrievedPodData
  }
}
