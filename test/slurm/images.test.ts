import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { kubectlUnavailable } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'
import { imageLabMissing, startImageLab } from './image-lab.ts'
import { startSlurmCluster, stateOf } from './slurm-cluster.ts'

const call = promisify(execFile)

const podOf = (name: string, container: object, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    restartPolicy: 'Never',
    nodeName: 'interlink',
    containers: [{ name: 'main', imagePullPolicy: 'IfNotPresent', ...container }],
    ...spec
  }
})
const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] })

/** Processes whose command line holds the text: what any user of the machine can see. */
async function commandsWith(text: string): Promise<string[]> {
  const { stdout } = await call('ps', ['-ww', '-eo', 'args'])
  return stdout.split('\n').filter((line) => line.includes(text))
}

/** Files below that hold the text and that others can read. */
async function readableWith(text: string, dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  const found = await Promise.all(
    names
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name)
        const has = (await readFile(path, 'latin1').catch(() => '')).includes(text)
        return has && (await isOpen(path, dir)) ? path : undefined
      })
  )
  return found.filter((path) => path !== undefined)
}

async function isOpen(path: string, root: string): Promise<boolean> {
  // It may have gone meanwhile.
  const found = await stat(path).catch(() => undefined)
  if (!found || (found.mode & 0o077) === 0) return false
  for (let dir = dirname(path); dir.startsWith(root); dir = dirname(dir))
    if (((await stat(dir)).mode & 0o077) === 0) return false
  return true
}

if (requireReal(t, imageLabMissing(true) ?? kubectlUnavailable())) {
  for (const [title, ssh, pull] of [
    ['where jobs are submitted', false, 'submit'],
    ['by the job', false, 'job'],
    ['behind SSH', true, 'submit']
  ] as const)
    t.test(`a private image is pulled with the pod's own credentials, ${title}`, async (t) => {
      const lab = await startImageLab({ ssh, credentials: false, images: { pull, retrySeconds: 0 } })
      t.teardown(() => lab.close())
      const { kubectl, apply, until, root } = await startSlurmCluster(t, lab.options)
      const { password, config } = lab.registry
      const secret = (name: string, text: string) => ({
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/dockerconfigjson',
        metadata: { name },
        data: { '.dockerconfigjson': Buffer.from(text).toString('base64') }
      })
      await apply(secret('right', config))
      await apply(secret('wrong', config.replace(/"auth":"[^"]*"/, '"username":"puller","password":"no"')))

      // As long as the registry is silent, whoever asks it stands in the list of processes.
      lab.registry.pause()
      await apply(podOf('right', { image: lab.image, ...sh('echo pulled') }, pullSecrets('right')))
      await eventually(async () =>
        (await commandsWith(`${lab.registry.host}/v2/`)).some((line) => /curl/.test(line))
      )
      const encoded = Buffer.from(`puller:${password}`).toString('base64')
      for (const text of [password, encoded]) t.same(await commandsWith(text), [], 'no process list shows it')
      lab.registry.resume()
      await until('right', ({ phase }) => phase === 'Succeeded')
      t.equal((await kubectl(['logs', 'right'])).stdout, 'pulled\n')

      const job = (await lab.lab.run('squeue', '-h', '-t', 'all', '-o', '%i')).trim().split('\n')[0]!
      const shown = [
        await lab.lab.run('scontrol', 'show', 'job', '-dd', job),
        await lab.lab.run('scontrol', 'write', 'batch_script', job, '-')
      ].join('\n')
      for (const text of [password, encoded]) {
        t.notOk(shown.includes(text), 'Slurm does not know it')
        for (const dir of [lab.lab.dir, dirname(root), lab.dir])
          t.same(await readableWith(text, dir), [], 'no file that others can read has it')
      }

      await apply(podOf('wrong', { image: lab.image, ...sh('true') }, pullSecrets('wrong')))
      await apply(podOf('none', { image: lab.image, ...sh('true') }, pullSecrets('missing')))
      for (const name of ['wrong', 'none']) {
        const { containerStatuses } = await until(name, ({ phase }) => phase === 'Failed')
        t.match(containerStatuses![0]!.state.terminated, {
          reason: 'ErrImagePull',
          message: /failed to pull image ".*": .*(unauthorized|authentication required)/is
        })
      }
    })

  t.test('what becomes of an image is told as a kubelet tells it', async (t) => {
    const lab = await startImageLab({ images: { retrySeconds: 60 } })
    t.teardown(() => lab.close())
    const { apply, until, events, kubectl } = await startSlurmCluster(t, lab.options)
    const { host, pause, resume } = lab.registry

    await t.test('while it is pulled the container waits, and has not started', async (t) => {
      pause()
      const image = `${host}/lab/tools:1`
      // It would be killed by this probe, were it thought to be running.
      const startupProbe = { exec: sh('true'), periodSeconds: 1, failureThreshold: 1 }
      await apply(podOf('slow', { image, ...sh('sleep 1'), startupProbe }))
      const waiting = await until(
        'slow',
        (status) => stateOf(status, 'waiting')?.reason === 'ContainerCreating'
      )
      t.equal(waiting.phase, 'Pending')
      t.match((await events('slow')).join('\n'), /^Normal Pulling Pulling image "127\S+"$/m)
      resume()
      await until('slow', ({ phase }) => phase === 'Succeeded')
      t.ok((await events('slow')).some((line) => /^Normal Pulled Successfully pulled image/.test(line)))
    })

    await t.test('one that is not there is tried again, with the words of the registry', async (t) => {
      const image = `${host}/lab/late:1`
      await apply(podOf('late', { image, ...sh('echo here') }))
      for (const reason of ['ErrImagePull', 'ImagePullBackOff']) {
        const status = await until('late', (now) => stateOf(now, 'waiting')?.reason === reason)
        t.match(stateOf(status, 'waiting')!.message, /lab\/late:1.*manifest unknown/s)
        t.equal(status.phase, 'Pending')
      }
      t.ok((await events('late')).some((line) => /^Warning Failed Error: .*manifest unknown/.test(line)))
      await lab.registry.push('lab/late:1', lab.root)
      await until('late', ({ phase }) => phase === 'Succeeded')
      t.equal((await kubectl(['logs', 'late'])).stdout, 'here\n')
    })

    await t.test('one that must not be pulled is ErrImageNeverPull', async (t) => {
      await apply(podOf('never', { image: `${host}/lab/never:1`, imagePullPolicy: 'Never', ...sh('true') }))
      const status = await until('never', ({ phase }) => phase === 'Failed')
      t.match(stateOf(status, 'terminated'), {
        reason: 'ErrImageNeverPull',
        message: /is not present with pull policy of Never/
      })
    })

    await t.test('a name that is none is refused at the door', async (t) => {
      await apply(podOf('odd', { image: 'Not/An_Image:::1', ...sh('true') }))
      t.match(await until('odd', ({ phase }) => phase === 'Failed'), {
        reason: 'Refused',
        message: /spec\.containers\[0\]\.image: InvalidImageName: "Not\/An_Image:::1"/
      })
    })
  })

  t.test('entrypoint, arguments, environment and directory are those of the image', async (t) => {
    const lab = await startImageLab()
    t.teardown(() => lab.close())
    const { apply, until, kubectl, events } = await startSlurmCluster(t, lab.options)
    const image = `${lab.registry.host}/lab/configured:1`
    await lab.registry.push('lab/configured:1', lab.root, {
      entrypoint: ['/bin/sh', '-c', 'echo "$0|$*|$COLOUR|$(pwd)|$(id -u)"', 'entry'],
      cmd: ['default args', '$(id)'],
      env: ['COLOUR=dark blue'],
      workingdir: '/work',
      user: '1234'
    })
    const account = String(process.getuid!())
    for (const [name, container, said] of [
      ['bare', {}, `entry|default args $(id)|dark blue|/work|${account}`],
      ['args', { args: ['a b', '*'] }, `entry|a b *|dark blue|/work|${account}`],
      [
        'own',
        { ...sh('echo "$COLOUR|$(pwd)"'), workingDir: '/tmp', env: [{ name: 'COLOUR', value: 'red' }] },
        'red|/tmp'
      ]
    ] as const) {
      await apply(podOf(name, { image, ...container }, { securityContext: { runAsUser: 1234 } }))
      await until(name, ({ phase }) => phase === 'Succeeded')
      t.equal((await kubectl(['logs', name])).stdout, `${said}\n`, name)
    }
    t.ok((await events('bare')).some((line) => /UserNotMapped .*site's account/.test(line)))
    // It is told of an image that is in the cache already, too.
    for (const name of ['bare', 'args'])
      t.ok(
        (await events(name)).some((line) =>
          /UserNotMapped container main: .*, and not as 1234, the user of its image/.test(line)
        ),
        name
      )
  })
}

function pullSecrets(name: string) {
  return { imagePullSecrets: [{ name }] }
}
