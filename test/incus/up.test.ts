import t from 'tap'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { runInterlink } from '../support/interlink.ts'
import { requireReal } from '../support/require-real.ts'
import { instancesOf } from './incus-plugin.ts'

void t.test('up --backend incus --lab needs no server: it runs a pod on its own, and ends it', async (t) => {
  if (!requireReal(t, incusMissing())) return
  // The example, with a limit of what the node has by the storage pool.
  const example = await readFile(new URL('../../examples/hello.yaml', import.meta.url), 'utf8')
  const text = example
    .replace('image: host', 'image: busybox')
    .replace('resources:', 'resources:\n        limits: { ephemeral-storage: 1Gi }')
  const pod = join(t.testdir({ 'pod.yaml': text }), 'pod.yaml')
  const lab = ['up', '--backend', 'incus', '--lab', '--exit']
  const { code, stdout, stderr } = await runInterlink([...lab, '--pod', pod])
  t.equal(code, 0, stderr)
  t.match(stdout, /→ Succeeded/)
  t.match(stdout, /│ .*Hello from hello/)
  const [, home] = /INCUS_DIR=(\S+) incus list/.exec(stdout)!
  t.notOk(existsSync(home!), 'its directory is gone')
})

void t.test(
  'up leaves no instance on a server of somebody, and doctor says which cards it lacks',
  async (t) => {
    if (!requireReal(t, incusMissing())) return
    const lab = await startIncusLab()
    t.teardown(() => lab.close())
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'brief' },
      spec: {
        restartPolicy: 'Never',
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'main', image: 'busybox', command: ['true'] }]
      }
    }
    const dir = t.testdir({
      'plugin.yaml': `options: { url: "unix://${lab.socket}" }\n`,
      'pod.yaml': JSON.stringify(pod)
    })
    const files = ['--config', join(dir, 'plugin.yaml'), '--pod', join(dir, 'pod.yaml')]
    const { code, stderr } = await runInterlink(['up', '--backend', 'incus', '--exit', ...files])
    t.equal(code, 0, stderr)
    t.same(await instancesOf(lab), [], stderr)

    // The same server, and cards that it does not have.
    const cards = (pci: string) =>
      `cards: [{ id: there, vendor: xilinx.com, model: U55C, paths: [/dev/fuse], sharing: { type: fpga, shell: xdma } }, { id: away, model: NVIDIA A30, pci: '${pci}' }]`
    await writeFile(join(dir, 'cards.yaml'), cards('0000:fe:1f.7'))
    const lent = join(dir, 'lent.yaml')
    const options = { url: `unix://${lab.socket}` }
    await writeFile(lent, JSON.stringify({ options, devices: { inventory: join(dir, 'cards.yaml') } }))
    const unseen = await runInterlink(['doctor', 'incus', '--config', lent])
    t.equal(unseen.code, 1)
    t.match(unseen.stdout, /✗ devices +1 of 2 cards are not to be seen, and nobody gets them: away\n.*`pci`/)
    await writeFile(join(dir, 'cards.yaml'), cards('fe:1f.7'))
    const wrong = await runInterlink(['doctor', 'incus', '--config', lent])
    t.match(wrong.stdout, /✗ devices +\S+cards\.yaml:1: cards\[1\]\.pci: expected a PCI address/)
  }
)

void t.test('what the Incus backend lacks is said in words, by up and by doctor', async (t) => {
  const config = t.testdir({ 'plugin.yaml': 'options: { url: "unix:///no/unix.socket" }\n' }) + '/plugin.yaml'
  const [up, doctor, ssh] = await Promise.all([
    runInterlink(['up', '--backend', 'incus', '--exit', '--config', config]),
    runInterlink(['doctor', 'incus', '--config', config]),
    runInterlink(['up', '--backend', 'incus', '--ssh', 'me@login'])
  ])
  t.match([up.code, doctor.code, ssh.code], [1, 1, 1])
  t.match(up.stderr, /\/no\/unix\.socket.*set options\.url to where the Incus server listens/s)
  t.match(doctor.stdout, /✗ .*\/no\/unix\.socket/)
  t.match(ssh.stderr, /--ssh is of the Slurm backend/)
})
