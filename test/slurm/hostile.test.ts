import t from 'tap'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { decode, type RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { busyboxImage, findApptainer } from '../../packages/plugins/test/support-apptainer.ts'
import { requireReal } from '../support/require-real.ts'
import { canary, holdersBelow, watchProcessList } from '../support/canaries.ts'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { isOver, isRunning, logOf, refOf, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')
/** As large as a ConfigMap gets. */
const bigFile = randomBytes(768 * 1024 - 64).toString('base64')

/** What the node sends with the pod. */
const withObjects = ({ pod }: RetrievedPodData, objects: object): RetrievedPodData =>
  decode('RetrievedPodData', { pod, container: [{ name: 'main', ...objects }] }) as RetrievedPodData

const apptainer = await findApptainer()
const missing = slurmMissing() ?? sshdMissing() ?? ('why' in apptainer ? apptainer.why : undefined)

if (requireReal(t, missing) && 'tool' in apptainer) {
  // What the daemons write down is looked through too.
  const lab = await startSlurmLab({
    nodes: 1,
    cpus: 64,
    memoryMiB: 64_000,
    extra: ['SlurmctldDebug=debug2', 'SlurmdDebug=debug3']
  })
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const image = await busyboxImage(await freshDirectory('image'))
  const touched = join(lab.dir, `touched-${randomBytes(4).toString('hex')}`)
  const word = `$(touch ${basename(touched)})`
  const evil = [
    `$(touch ${touched})`,
    `\`touch ${touched}\``,
    `'; touch ${touched}; '`,
    `"\n touch ${touched} \n"`
  ]
  const containers = {
    tool: apptainer.tool,
    // As root Apptainer would want capabilities that a container of its own lacks.
    ...(process.getuid!() === 0 ? { options: ['--userns'] } : {})
  }

  const everythingTouched = async () =>
    [
      ...(await readdir(lab.dir, { recursive: true })),
      ...(await readdir('/')),
      ...(await readdir(process.cwd()))
    ].filter((path) => basename(path) === basename(touched))

  const sites = {
    'on this machine': {},
    'behind SSH': { ssh: { ...sshd.options, directory: join(lab.dir, 'far') } }
  }
  for (const [where, options] of Object.entries(sites)) {
    const start = (t: Test, log?: string) =>
      startSlurmPlugin(t, lab, undefined, { ...options, containers }, log ? { logFile: log } : {})

    t.test(`${where}, no secret of a pod is where others could read it`, async (t) => {
      const log = join(lab.dir, `${where.replaceAll(' ', '-')}.log`)
      const { client, root } = await start(t, log)
      const { pod, secrets, expected } = secretPod()
      const job = join('ssh' in options ? options.ssh.directory : root, `default-${pod.pod.metadata.uid}`)
      const processes = watchProcessList(Object.values(secrets))
      t.teardown(processes.stop)
      const { PodJID } = await client.create(pod)
      await whenStatus(client, pod, isRunning)
      const holders = await holdersBelow(lab.dir, Object.values(secrets))
      const shown = [
        await lab.run('scontrol', 'show', 'job', '--details', PodJID),
        await lab.run('scontrol', 'write', 'batch_script', PodJID, '-'),
        await lab.run('squeue', '--format=%all')
      ]
      await writeFile(join(job, 'volumes/hold/go'), '')
      await whenStatus(client, pod, isOver)
      t.equal(await logOf(client, pod), `${expected}\n`, 'the container has them all')
      t.same(processes.stop(), [])
      for (const secret of Object.values(secrets)) t.notOk(shown.join('\n').includes(secret))
      const all = [...holders, ...(await holdersBelow(lab.dir, Object.values(secrets)))]
      t.ok(all.length > 0, 'the job directory was looked through')
      t.same(
        all.filter(({ open }) => open).map(({ path }) => path),
        [],
        'none is open to others'
      )
      const jobs = `/default-${pod.pod.metadata.uid}/`
      t.same(
        all.filter(({ path }) => !path.includes(jobs)).map(({ path }) => path),
        [],
        'none is elsewhere'
      )
      t.same(
        all.filter(({ path }) =>
          /\/(job\.sh|supervisor\.sh|job\.out|supervisor\.log|run|enter)$|\/(log|state)\//.test(path)
        ),
        [],
        'none is in a script or a log'
      )
      t.match(await readFile(log, 'utf8'), /job submitted/)
    })

    t.test(`${where}, nothing that a pod says reaches a shell of the machine`, async (t) => {
      const { client } = await start(t)
      const pod = hostilePod()
      await client.create(pod)
      const over = await whenStatus(client, pod, isOver)
      t.equal(over.containers[0]!.state!.terminated!.exitCode, 0, JSON.stringify(over.containers[0]!.state))
      t.equal(await logOf(client, pod), `${hashOf(evil.join('|'))} ${hashOf(bigFile)}\n`)
      t.same(await everythingTouched(), [])
    })
  }

  t.test('names and images that could be more than names are refused, and leave nothing', async (t) => {
    const { client, root } = await startSlurmPlugin(t, lab, undefined, { containers })
    for (const [change, words] of refusals()) {
      const pod = scriptPod('true', { container: { image } })
      change(pod.pod)
      await t.rejects(client.create(pod), { message: words }, String(words))
    }
    t.same(
      (await readdir(root)).filter((name) => !name.startsWith('.')),
      []
    )
  })

  t.test('patterns of Slurm in names and files are what Slurm makes of them, in the job alone', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const out = await freshDirectory('out')
    for (const name of ['%j%A%x%%', evil[0]!, 'a b;c|d']) {
      const flags = `--job-name='${name}' --output='${join(out, `%x-%j-${word}.txt`)}'`
      const pod = scriptPod('echo said', { annotations: { 'slurm-job.vk.io/flags': flags } })
      const { PodJID } = await client.create(pod)
      t.equal((await whenStatus(client, pod, isOver)).JID, PodJID)
      t.equal(await logOf(client, pod), 'said\n')
      t.ok((await lab.run('squeue', '-h', '-t', 'all', '-j', PodJID, '-o', '%j')).startsWith(name))
    }
    t.same(await everythingTouched(), [])
  })

  t.test('a pod of 200 containers runs them all', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const spec = {
      containers: Array.from({ length: 200 }, (_, index) => ({
        name: `c${index}`,
        image: 'host',
        command: ['/bin/sh', '-c', `exit ${index % 2}`]
      }))
    }
    const pod = scriptPod('', { spec })
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver, 240_000)
    t.same(
      over.containers.map(({ state }) => state!.terminated!.exitCode),
      spec.containers.map((_, index) => index % 2)
    )
    await client.delete(refOf(pod))
  })

  /** A pod with a secret in every place that is made for one; it waits until `hold/go` is there. */
  function secretPod() {
    const secrets = {
      env: canary('env'),
      secret: canary('secret'),
      token: canary('token'),
      header: canary('header')
    }
    const script =
      'for each in "$SECRET" "$(cat /s/key)" "$(cat /t/token)"; do printf %s "$each" | sha256sum; done | cut -c 1-64 | xargs; ' +
      'until [ -e /hold/go ]; do sleep 0.1; done'
    const mounts = { s: '/s', t: '/t', hold: '/hold' }
    const pod = withObjects(
      scriptPod(script, {
        spec: {
          volumes: [
            { name: 's', secret: { secretName: 's' } },
            { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
            { name: 'hold', emptyDir: {} }
          ]
        },
        container: {
          image,
          env: [{ name: 'SECRET', value: secrets.env }],
          volumeMounts: Object.entries(mounts).map(([name, mountPath]) => ({ name, mountPath })),
          lifecycle: { postStart: { exec: { command: ['/bin/sh', '-c', 'test -n "$SECRET"'] } } },
          livenessProbe: { exec: { command: ['/bin/sh', '-c', 'test -n "$SECRET"'] }, periodSeconds: 1 },
          readinessProbe: {
            httpGet: { port: 9, httpHeaders: [{ name: 'Authorization', value: `Bearer ${secrets.header}` }] },
            periodSeconds: 1
          }
        }
      }),
      {
        secrets: [{ metadata: { name: 's' }, data: { key: Buffer.from(secrets.secret).toString('base64') } }],
        projectedvolumemaps: [{ metadata: { name: 't' }, data: { token: secrets.token } }]
      }
    )
    return { pod, secrets, expected: [secrets.env, secrets.secret, secrets.token].map(hashOf).join(' ') }
  }

  /** Everything that a pod may choose freely would do harm if a shell read it. */
  function hostilePod() {
    const place = `/data ${word} 'x' %j`
    const file = `big ${word} "y"\n; %x`
    const script =
      '[ "$V0|$V1|$V2|$V3" = "$(IFS="|"; printf %s "$*")" ] || exit 9; ' +
      'printf "%s %s\\n" "$(IFS="|"; printf %s "$*" | sha256sum | cut -c 1-64)" "$(sha256sum <"$BIG" | cut -c 1-64)"'
    const echo = { exec: { command: ['/bin/echo', ...evil] } }
    return withObjects(
      scriptPod('', {
        annotations: { note: evil.join(' '), 'interlink.eu/pod-ip': evil[0]! },
        spec: { volumes: [{ name: 'big', configMap: { name: 'big', items: [{ key: 'k', path: file }] } }] },
        container: {
          image,
          command: ['/bin/sh', '-c', script, 'sh', ...evil],
          env: [
            ...evil.map((value, index) => ({ name: `V${index}`, value })),
            { name: 'BIG', value: `${place}/${file}` }
          ],
          workingDir: place,
          terminationMessagePath: `/tmp/${word}`,
          volumeMounts: [{ name: 'big', mountPath: place }],
          lifecycle: { postStart: echo },
          livenessProbe: { ...echo, periodSeconds: 1 },
          readinessProbe: {
            httpGet: {
              port: 9,
              path: `/$(touch%20${basename(touched)})`,
              httpHeaders: [{ name: 'X', value: evil[2]! }]
            },
            periodSeconds: 1
          }
        }
      }),
      { configMaps: [{ metadata: { name: 'big' }, data: { k: bigFile } }] }
    )
  }

  function refusals(): readonly (readonly [(metadata: RetrievedPodData['pod']) => unknown, RegExp])[] {
    const annotation = (name: string, value: string) => (pod: RetrievedPodData['pod']) =>
      (pod.metadata.annotations = { [`slurm-job.vk.io/${name}`]: value })
    return [
      [({ metadata }) => (metadata.name = `a${word}`), /metadata\.name/],
      [({ metadata }) => (metadata.namespace = '../..'), /metadata\.namespace/],
      [({ metadata }) => (metadata.uid = '../../x'), /metadata\.uid/],
      [({ spec }) => (spec.containers[0]!.name = 'a;b'), /spec\.containers\[0\]\.name/],
      [({ spec }) => (spec.containers[0]!.image = `docker://a/${word}`), /spec\.containers\[0\]\.image/],
      [({ spec }) => (spec.containers[0]!.env = [{ name: word, value: '' }]), /spec\.containers\[0\]\.env/],
      [annotation('flags', `--wrap='touch ${touched}'`), /--wrap.*what runs is the pod itself/],
      [annotation('flags', '--export=ALL,LD_PRELOAD=/tmp/x.so'), /--export/],
      [annotation('flags', '--uid=0'), /--uid/],
      [annotation('pre-exec', `touch ${touched}`), /pre-exec.*shell text of pods is not run/],
      [annotation('singularity-options', `--bind /:/host`), /singularity-options/]
    ]
  }

  async function freshDirectory(name: string): Promise<string> {
    const dir = join(lab.dir, name)
    await mkdir(dir, { recursive: true })
    return dir
  }
}
