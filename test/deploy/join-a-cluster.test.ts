import t from 'tap'
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { requireReal } from '../support/require-real.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { readGuide, root } from './guide.ts'

t.test('the guide to joining a cluster, followed to the letter on the real control plane', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const directory = temporaryDirectory('join')
  t.teardown(() => directory.remove())
  const home = directory.path
  const checkout = join(home, 'interlink-ts')
  const [port, kubelet] = (await freePorts(2)) as [number, number]
  const guide = await readGuide('join-a-cluster')
  const logs = join(home, 'logs')
  await mkdir(logs)

  /** What the reader changes: the names and paths that are not theirs. */
  const own = (text: string) =>
    text
      .replaceAll('edge.example.org', 'localhost')
      .replaceAll('/home/me', home)
      .replaceAll(':3000', `:${port}`)
  const sh = (script: string) =>
    promisify(execFile)('sh', ['-ec', script], {
      cwd: checkout,
      env: { ...cluster.env, HOME: home }
    })
  const start = (name: string, command: string, env: NodeJS.ProcessEnv = {}) => {
    const child = spawnReaped('sh', ['-c', `umask 077; exec ${command}`], {
      cwd: '/',
      env: { PATH: process.env.PATH, HOME: home, ...env },
      stdio: ['ignore', 'ignore', 'pipe']
    })
    child.stderr!.pipe(createWriteStream(join(logs, name)))
    t.teardown(() => signalGroup(child, 'SIGTERM'))
    return child
  }

  await mkdir(checkout)
  for (const name of ['node_modules', 'packages', 'examples', 'docs'])
    await symlink(join(root, name), join(checkout, name))
  await cp(join(root, 'deploy'), join(checkout, 'deploy'), { recursive: true })
  const manifest = join(checkout, 'deploy/kubernetes/node.yaml')
  await writeFile(manifest, own(await readFile(manifest, 'utf8')))

  await t.test('on the edge: keys, files and units', async (t) => {
    const without = /^(cd|npm|npx|loginctl|systemctl) .*$/gm
    await sh(own(guide.commands('On the edge')).replace(without, ''))
    t.same([...guide.files.keys()], ['.config/interlink/plugin-process.yaml', '.config/interlink/api.yaml'])
    for (const [path, text] of guide.files) await writeFile(join(home, path), own(text))
    for (const unit of ['interlink-plugin-process', 'interlink-api']) {
      const text = await readFile(join(home, `.config/systemd/user/${unit}.service`), 'utf8')
      start(unit, /^ExecStart=(.*)$/m.exec(text)![1]!.replaceAll('%h', home))
    }
    const doctor = /^npx (interlink doctor .*)$/m.exec(guide.commands('On the edge'))![1]!
    const said = await eventually(() => sh(`node_modules/.bin/${doctor}`).catch(() => undefined))
    t.match(said.stdout, /✓ plugin process/)
  })

  await t.test('in the cluster: rights, secret and manifest are taken', async () => {
    await sh(own(guide.commands('In the cluster')).replace(/^(docker|kubectl get) .*$/gm, ''))
    await eventually(async () =>
      /^interlink-node-/m.test((await cluster.kubectl(['-n', 'interlink', 'get', 'pods'])).stdout)
    )
  })

  await t.test('the node runs with what its pod would find, and with nothing more', async (t) => {
    const pod = parseAllDocuments(await readFile(manifest, 'utf8'))
      .map((document) => document.toJS() as { kind: string; spec: { template: { spec: PodSpec } } })
      .find(({ kind }) => kind === 'Deployment')!.spec.template.spec
    const container = pod.containers[0]!
    const mounted = async (path: string, kind: string, name: string) => {
      const { stdout } = await cluster.kubectl(['-n', 'interlink', 'get', kind, name, '-o', 'json'])
      await mkdir(join(home, path), { recursive: true })
      for (const [key, text] of Object.entries((JSON.parse(stdout) as { data: Record<string, string> }).data))
        await writeFile(join(home, path, key), kind === 'secret' ? Buffer.from(text, 'base64') : below(text))
    }
    const below = (text: string) => text.replaceAll(/\/(etc|var\/lib)\/interlink/g, `${home}/pod$&`)
    for (const { name, mountPath } of container.volumeMounts) {
      const volume = pod.volumes.find((one) => one.name === name)!
      const path = `pod${mountPath}`
      if (volume.configMap) await mounted(path, 'configmap', volume.configMap.name)
      else if (volume.secret) await mounted(path, 'secret', volume.secret.secretName)
      else await mkdir(join(home, path), { recursive: true })
    }
    const token = await sh('kubectl -n interlink create token interlink-node')
    const config = parse(await readFile(cluster.kubeconfigPath, 'utf8')) as { users: { user: object }[] }
    config.users[0]!.user = { token: token.stdout.trim() }
    const kubeconfig = join(dirname(logs), 'in-cluster.kubeconfig')
    await writeFile(kubeconfig, stringify(config), { mode: 0o600 })
    start(
      'vk',
      `node_modules/.bin/interlink ${container.args.map(below).join(' ')}`.replace(/^/, `${checkout}/`),
      {
        POD_IP: '127.0.0.1',
        KUBELET_PORT: String(kubelet),
        KUBECONFIG: kubeconfig
      }
    )
    const shown = () => sh('kubectl get node interlink').catch(() => ({ stdout: '' }))
    await eventually(async () => / Ready /.test((await shown()).stdout))
    await sh('kubectl apply -f examples/hello.yaml')
    await sh("kubectl wait pod/hello '--for=jsonpath={.status.phase}=Succeeded' --timeout=180s")
    t.match((await sh('kubectl logs hello')).stdout, /^Hello from hello/)
  })
})

interface PodSpec {
  containers: { args: string[]; volumeMounts: { name: string; mountPath: string }[] }[]
  volumes: { name: string; configMap?: { name: string }; secret?: { secretName: string } }[]
}
