import t from 'tap'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { runInterlink } from '../support/interlink.ts'
import { requireReal } from '../support/require-real.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

if (requireReal(t, htcondorUnprepared())) {
  t.test('up --lab needs no pool: it starts one, runs a pod there, and ends it', async (t) => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'inside' },
      spec: {
        restartPolicy: 'Never',
        nodeSelector: { 'virtual-node.interlink/type': 'virtual-kubelet' },
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'main', image: 'host', command: ['/bin/sh', '-c', 'echo "slot $_CONDOR_SLOT"'] }]
      }
    }
    const dir = t.testdir({ 'pod.yaml': JSON.stringify(pod) })
    const { code, stdout, stderr } = await runInterlink([
      ...['up', '--backend', 'htcondor', '--lab', '--htcondor', prefix],
      ...['--exit', '--pod', join(dir, 'pod.yaml')]
    ])
    t.equal(code, 0, stderr)
    t.match(stdout, /│ .*slot slot1_1/)
    const [, config] = /CONDOR_CONFIG=(\S+) \S+\/condor_q/.exec(stdout)!
    t.notOk(existsSync(config!), 'its directory is gone')
  })

  t.test('up --htcondor says what it is of, and what is missing there', async (t) => {
    const up = (...args: string[]) => runInterlink(['up', ...args])
    t.match((await up('--htcondor', '/opt/condor')).stderr, /--htcondor is of the HTCondor backend/)
    const backend = ['--backend', 'htcondor']
    t.match((await up(...backend, '--htcondor', '/opt/condor')).stderr, /--htcondor is of --lab/)
    t.match(
      (await up(...backend, '--lab', '--htcondor', '/no')).stderr,
      /--lab: there is no \/no\/bin\/condor_submit/
    )
  })

  t.test('doctor says what a pool has, and what it lacks while its queue is away', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())
    const file = join(lab.dir, 'plugin.yaml')
    const containers = { tool: '/bin/true', runtime: 'host' }
    await writeFile(
      file,
      JSON.stringify({ root: join(lab.dir, 'jobs'), options: { ...lab.options, containers } })
    )
    const { code, stdout } = await runInterlink(['doctor', 'htcondor', '--config', file])
    t.equal(code, 0, stdout)
    t.match(stdout, /✓ .*23\.9/)
    t.equal(await lab.run('condor_q', '-af', 'ClusterId'), '', 'nothing of it is left')
    await lab.kill('schedd')
    const without = await runInterlink(['doctor', 'htcondor', '--config', file])
    t.equal(without.code, 1)
    t.match(without.stdout, /✗ /)
  })
}
