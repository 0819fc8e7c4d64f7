/** `kubectl cp` and `kubectl port-forward`, through all that is between, against tar and a port through ssh. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startControlPlane } from '../kube/control-plane.ts'
import type { Sshd } from '../support/sshd.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { kubectlPath } from '../support/kubectl.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { round, type Figures } from './figures.ts'
import { startProduct } from './product.ts'
import { bestOf, drain, rate, startSender } from './transfers.ts'

const call = promisify(execFile)

/** Of the machine of that sshd; the command follows as one word. */
export const sshArgv = ({ dir, options: { host, port, user, keyFile } }: Sshd): string[] => [
  ...[
    'ssh',
    '-T',
    '-F',
    'none',
    '-o',
    'BatchMode=yes',
    '-o',
    `UserKnownHostsFile=${join(dir, 'known_hosts')}`
  ],
  ...['-i', keyFile, '-p', String(port), `${user}@${host}`]
]

export async function benchKubectl(
  pluginUrl: string,
  sshd: Sshd,
  say: (text: string) => void,
  share: number
): Promise<Figures> {
  const copied = Math.round(50e6 * share)
  const forwarded = Math.round(2 ** 30 * share)
  const directory = temporaryDirectory('bench')
  const cluster = await startControlPlane({ scheduler: false })
  const product = await startProduct(cluster, pluginUrl, ['bench'])
  const sender = await startSender(forwarded)
  const ports: { close(): void }[] = []
  try {
    await product.startNode()
    const there = join(directory.path, 'there')
    await mkdir(there)
    await writeFile(join(directory.path, 'file'), Buffer.alloc(copied, 'interlink'))
    const env = cluster.env
    const kubectl = (...args: string[]) => call(kubectlPath()!, args, { env })
    const pod = join(directory.path, 'pod.json')
    const containers = [{ name: 'main', image: 'host', command: ['sleep', '100000'] }]
    const spec = { nodeName: 'bench', restartPolicy: 'Never', terminationGracePeriodSeconds: 0, containers }
    const automountServiceAccountToken = false
    const box = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'box' },
      spec: { ...spec, automountServiceAccountToken }
    }
    await writeFile(pod, JSON.stringify(box))
    await eventually(() => kubectl('get', 'serviceaccount', 'default'), { deadlineMs: 60_000 })
    await eventually(() => kubectl('apply', '-f', pod), { deadlineMs: 60_000 })
    await kubectl('wait', '--for=condition=Ready', 'pod/box', '--timeout=60s')

    const forwards = async (argv: readonly string[], local: number) => {
      const [file, ...args] = argv
      const child = spawnReaped(file!, args, { env, stdio: 'ignore' })
      ports.push({ close: () => signalGroup(child, 'SIGKILL') })
      await eventually(() => isOpen(local))
      return () => drain(connect(local, '127.0.0.1'), forwarded)
    }
    const [ours, bare] = [await freePort(), await freePort()]
    const [ssh, ...toHost] = sshArgv(sshd)
    const through = [ssh!, '-N', '-L', `127.0.0.1:${bare}:127.0.0.1:${sender.port}`, ...toHost]
    const viaKubectl = await forwards([kubectlPath()!, 'port-forward', 'box', `${ours}:${sender.port}`], ours)
    const viaSsh = await forwards(through, bare)
    const sshWords = [ssh!, ...toHost].map((word) => `'${word}'`).join(' ')
    const shell = (script: string) => call('sh', ['-c', `cd "$0" && ${script}`, directory.path])
    const took = await bestOf({
      put: () => kubectl('cp', join(directory.path, 'file'), `box:${there}/file`),
      putBare: () => shell(`tar cf - file | ${sshWords} "tar xf - -C '${there}'"`),
      get: () => kubectl('cp', `box:${there}/file`, join(directory.path, 'back')),
      getBare: () =>
        shell(`mkdir -p by-ssh && ${sshWords} "tar cf - -C '${there}' file" | tar xf - -C by-ssh`),
      forward: viaKubectl,
      forwardBare: viaSsh
    })
    say(
      `by kubectl: cp ${rate(copied, took.put)} of ${rate(copied, took.putBare)} MB/s in, ${rate(copied, took.get)} of ${rate(copied, took.getBare)} out; port-forward ${rate(forwarded, took.forward)} of ${rate(forwarded, took.forwardBare)}`
    )
    await kubectl('delete', 'pod', 'box', '--wait')
    return {
      kubectlCopyInMBs: rate(copied, took.put),
      kubectlCopyInOverSsh: round(took.putBare / took.put, 2),
      kubectlCopyOutMBs: rate(copied, took.get),
      kubectlCopyOutOverSsh: round(took.getBare / took.get, 2),
      kubectlForwardMBs: rate(forwarded, took.forward),
      kubectlForwardOverSsh: round(took.forwardBare / took.forward, 2)
    }
  } finally {
    for (const port of ports) port.close()
    sender.close()
    await product.stop()
    await cluster.stop()
    await directory.remove()
  }
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
