import t from 'tap'
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { runInterlink, startInterlink } from '../support/interlink.ts'
import { kubectlEnv, kubectlFor, kubectlUnavailable } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'
import { slurms, slurmUnprepared } from './each-slurm.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

const pod = (name: string, script: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 20,
      nodeSelector: { 'virtual-node.interlink/type': 'virtual-kubelet' },
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: 'host', command: ['/bin/sh', '-c', script] }]
    }
  })

if (requireReal(t, slurmMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const env = { ...process.env, ...lab.env }

  t.test('up --backend slurm --exit runs a pod as a job to its end', async (t) => {
    const dir = t.testdir({ 'pod.yaml': pod('once', 'echo "job $(id -u)"') })
    const { code, stdout, stderr } = await runInterlink(
      ['up', '--backend', 'slurm', '--exit', '--pod', join(dir, 'pod.yaml')],
      { env }
    )
    t.equal(code, 0, stderr)
    t.match(stdout, /→ Succeeded/)
    t.match(stdout, /│ .*job \d+/)
    await eventually(async () =>
      /default-once COMPLETED/.test(await lab.run('squeue', '-h', '-t', 'all', '-o', '%j %T'))
    )
  })

  for (const { name, prefix } of slurms)
    t.test(`up --lab needs no cluster: it starts ${name}, runs a pod there, and ends it`, async (t) => {
      if (!requireReal(t, slurmUnprepared(prefix))) return
      const dir = t.testdir({ 'pod.yaml': pod('inside', 'echo "job $(id -u)"') })
      const args = ['up', '--backend', 'slurm', '--lab', '--exit', '--pod', join(dir, 'pod.yaml')]
      const { code, stdout, stderr } = await runInterlink(
        prefix === undefined ? args : [...args, '--slurm', prefix],
        { env: { ...process.env, SLURM_CONF: '' } }
      )
      t.equal(code, 0, stderr)
      t.match(stdout, /│ .*job \d+/)
      const [, conf, squeue] = /SLURM_CONF=(\S+) (\S+)/.exec(stdout)!
      t.equal(squeue, join(prefix === undefined ? '' : `${prefix}/bin`, 'squeue'))
      t.notOk(existsSync(conf!), 'its directory is gone')
    })

  t.test('up --slurm says what it is of, and what is missing there', async (t) => {
    const up = (...args: string[]) => runInterlink(['up', '--backend', 'slurm', ...args], { env })
    t.match((await up('--slurm', '/opt/slurm')).stderr, /--slurm is of --lab/)
    t.match((await up('--htcondor', '/opt/condor')).stderr, /--htcondor is of the HTCondor backend/)
    t.match((await up('--lab', '--slurm', '/no')).stderr, /--lab: there is no \/no\/bin\/sbatch/)
  })

  t.test('up --ssh makes a node of an account that has a key and nothing else', async (t) => {
    if (!requireReal(t, sshdMissing())) return
    const there = join(lab.dir, 'home')
    await mkdir(there)
    const sshd = await startSshd({ ...lab.env, HOME: there })
    t.teardown(() => sshd.close())
    const { host, port, user, keyFile, knownHostsFile } = sshd.options
    const login = `${user}@${host}:${port}`
    const dir = t.testdir({
      '.ssh': {},
      'pod.yaml': pod('far', 'pwd; echo "job $(id -u)"; echo "$HOME"'),
      'plugin.yaml': 'options:\n  ssh:\n    directory: ~/some where/jobs\n'
    })
    await copyFile(keyFile, join(dir, '.ssh/id_ed25519'))
    const far = { ...process.env, HOME: dir, SSH_AUTH_SOCK: undefined, SLURM_CONF: '' }
    const args = ['up', '--backend', 'slurm', '--ssh', login, '--exit', '--pod', join(dir, 'pod.yaml')]

    const unknown = await runInterlink(args, { env: far })
    t.equal(unknown.code, 1)
    t.match(unknown.stderr, /its key SHA256:\S+ is not in ~\/\.ssh\/known_hosts\. .*ssh-keyscan -p \d+/)
    t.notMatch(unknown.stdout, /node /, 'no node was registered')

    await copyFile(knownHostsFile, join(dir, '.ssh/known_hosts'))
    const plain = await runInterlink(args, { env: far })
    t.equal(plain.code, 0, plain.stderr)
    t.match(plain.stdout, /│ .*job \d+/)
    t.ok(existsSync(join(there, '.interlink/jobs')))

    const configured = await runInterlink([...args, '--config', join(dir, 'plugin.yaml')], { env: far })
    t.equal(configured.code, 0, configured.stderr)
    t.ok(existsSync(join(there, 'some where/jobs')), 'the rest of the section is the file’s')

    if (!requireReal(t, controlPlaneUnavailable())) return
    const cluster = await startControlPlane()
    t.teardown(() => cluster.stop())
    const joined = await runInterlink([...args, '--kubeconfig', cluster.kubeconfigPath, '--node', 'hpc'], {
      env: far
    })
    t.equal(joined.code, 0, joined.stderr)
    t.match(joined.stdout, new RegExp(`cluster +${cluster.url}`), 'of one’s own cluster')
    t.match(joined.stdout, /hpc +Ready after/)
    t.match(joined.stdout, /│ .*job \d+/)
  })

  t.test('options of up that do not fit together are refused in words', async (t) => {
    const wrong: readonly [readonly string[], RegExp][] = [
      [['--ssh', 'me@login'], /--ssh is of the Slurm backend; add --backend slurm/],
      [['--lab'], /--lab is of the backends slurm, htcondor, incus; add --backend/],
      [['--backend', 'slurm', '--lab', '--ssh', 'me@login'], /--ssh and --lab: .*give one of them/],
      [
        ['--backend', 'slurm', '--ssh', '-oProxyCommand=true'],
        /"-oProxyCommand=true" is no login; expected user@host/
      ]
    ]
    const said = await Promise.all(wrong.map(([args]) => runInterlink(['up', ...args], { env })))
    for (const [index, { code, stderr }] of said.entries()) {
      t.equal(code, 1)
      t.match(stderr, wrong[index]![1])
    }
  })

  t.test('kubectl sees a job run, reads its log and deletes it with its grace', async (t) => {
    if (!requireReal(t, kubectlUnavailable())) return
    const up = startInterlink(['up', '--backend', 'slurm', '--no-pod'], { env })
    t.teardown(() => up.stop())
    const [, kubeconfig] = await up.printed(/kubectl --kubeconfig (\S+)/)
    const kubectl = kubectlFor(kubectlEnv(kubeconfig!, t.testdir()))
    const script = 'trap "echo ended; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
    await kubectl(['apply', '-f', '-'], { input: pod('long', script) })
    await eventually(async () => (await kubectl(['logs', 'long'])).stdout === 'ready\n')
    await eventually(async () =>
      /Running/.test((await kubectl(['get', 'pod', 'long', '--no-headers'])).stdout)
    )
    t.match(await lab.run('squeue', '-h', '-o', '%j %T'), /default-long RUNNING/)
    await kubectl(['delete', 'pod', 'long', '--timeout=120s'])
    await eventually(async () => !(await lab.run('squeue', '-h', '-o', '%j')).includes('default-long'))

    await kubectl(['apply', '-f', '-'], { input: pod('bad', 'exit 3') })
    await eventually(async () =>
      /\b3\b/.test(
        (
          await kubectl([
            'get',
            'pod',
            'bad',
            '-o',
            'jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.exitCode}'
          ])
        ).stdout
      )
    )
    up.kill('SIGINT')
    t.equal((await up.ended).code, 0)
  })
}
