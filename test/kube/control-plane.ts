import { type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { freePorts } from '../support/free-port.ts'
import { kubectlEnv, kubectlFor, type Kubectl } from '../support/kubectl.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { controlPlaneBinary, controlPlaneUnavailable } from './binary.ts'
import { flagsOf, type Part } from './flags.ts'
import { kubeconfig, Pki, type Identity } from './pki.ts'

export { controlPlaneUnavailable } from './binary.ts'
export type { Part } from './flags.ts'

export interface ControlPlaneOptions {
  /** Flags added to a part's own, such as `['--kube-api-qps=2000']`. */
  flags?: Partial<Record<Part, readonly string[]>>
  /** Without it pods are bound by the test. @default true */
  scheduler?: boolean
  /** Without it there are no default ServiceAccounts, garbage collection, Jobs … @default true */
  controllerManager?: boolean
  /** Longest time to become ready, in milliseconds. @default 120000 */
  deadlineMs?: number
}

export interface ControlPlane {
  url: string
  /** Of a member of system:masters. */
  kubeconfigPath: string
  /** Holds the certificates, the kubeconfigs and log/PART.log; removed by stop. */
  dir: string
  /** Environment in which plain `kubectl` reaches this cluster. */
  env: NodeJS.ProcessEnv
  kubectl: Kubectl
  /** TLS material of the admin, in PEM, for clients other than kubectl. */
  admin: { ca: string; cert: string; key: string }
  /** Path of a new kubeconfig for a user with these groups and whatever RBAC gives them. */
  kubeconfigFor(name: string, identity: Identity): Promise<string>
  /** Kills one part with SIGKILL; etcd's and the API's data stay for restart. */
  kill(part: Part): Promise<void>
  /** Starts a killed part again with the same flags, and waits for /readyz where it is one the API needs. */
  restart(part: Part): Promise<void>
  stop(): Promise<void>
}

const clients: Record<string, Identity> = {
  admin: { user: 'admin', groups: ['system:masters'] },
  'kubelet-client': { user: 'kube-apiserver-kubelet-client', groups: ['system:masters'] },
  scheduler: { user: 'system:kube-scheduler' },
  'controller-manager': { user: 'system:kube-controller-manager' }
}

/**
 * Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler on free ports of 127.0.0.1 and waits
 * until pods can be created. None of it outlives this process.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const unavailable = controlPlaneUnavailable()
  if (unavailable) throw new Error(unavailable)
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(options)
    } catch (error) {
      // Somebody else took a port between its choice and its use.
      if (attempt === 3 || !String(error).includes('address already in use')) throw error
    }
  }
}

async function start(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { flags = {}, scheduler = true, controllerManager = true, deadlineMs = 120_000 } = options
  const temporary = temporaryDirectory('kube')
  const dir = temporary.path
  const [etcdPort, peerPort, apiPort] = (await freePorts(3)) as [number, number, number]
  const url = `https://127.0.0.1:${apiPort}`
  const pki = new Pki(dir)
  const running = new Map<Part, ChildProcess>()

  const launch = async (part: Part): Promise<void> => {
    const log = await open(join(dir, 'log', `${part}.log`), 'a')
    try {
      const args = [...flagsOf(part, { etcdPort, peerPort, apiPort }), ...(flags[part] ?? [])]
      const child = spawnReaped(controlPlaneBinary(), [part, ...args], {
        cwd: dir,
        stdio: ['ignore', log.fd, log.fd]
      })
      running.set(part, child)
    } finally {
      await log.close()
    }
  }
  const kill = async (part: Part): Promise<void> => {
    const child = running.get(part)
    if (!child) return
    running.delete(part)
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
    signalGroup(child, 'SIGKILL')
    await ended
  }
  const stop = async (): Promise<void> => {
    await Promise.all([...running.keys()].map(kill))
    await temporary.remove()
  }
  const writeKubeconfig = async (name: string): Promise<string> => {
    const path = join(dir, `${name}.kubeconfig`)
    await writeFile(path, await kubeconfig(pki, url, name), { mode: 0o600 })
    return path
  }

  try {
    await mkdir(join(dir, 'log'))
    await Promise.all([launch('etcd'), pki.create(clients)])
    await Promise.all(['admin', 'scheduler', 'controller-manager'].map(writeKubeconfig))
    const admin = {
      ca: await pki.read('ca.crt'),
      cert: await pki.read('admin.crt'),
      key: await pki.read('admin.key')
    }
    const answers = async (path: string): Promise<boolean> => {
      for (const [part, child] of running) {
        if (child.exitCode === null && child.signalCode === null) continue
        throw new EndedEarly(`${part} ended: ${await tail(join(dir, 'log', `${part}.log`))}`)
      }
      return (await statusOf(url + path, admin)) === 200
    }
    const until = (path: string) => eventually(() => answers(path), { deadlineMs, unless: EndedEarly })

    await launch('kube-apiserver')
    await until('/readyz')
    if (scheduler) await launch('kube-scheduler')
    if (controllerManager) {
      await launch('kube-controller-manager')
      await until('/api/v1/namespaces/default/serviceaccounts/default')
    }
    const kubeconfigPath = join(dir, 'admin.kubeconfig')
    const env = kubectlEnv(kubeconfigPath, dir)
    return {
      url,
      kubeconfigPath,
      dir,
      env,
      kubectl: kubectlFor(env),
      admin,
      async kubeconfigFor(name, identity) {
        await pki.client(name, identity)
        return writeKubeconfig(name)
      },
      kill,
      async restart(part) {
        await kill(part)
        await launch(part)
        if (part === 'etcd' || part === 'kube-apiserver') await until('/readyz')
      },
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}

class EndedEarly extends Error {}

const tail = async (file: string): Promise<string> => (await readFile(file, 'utf8')).slice(-2000)

function statusOf(url: string, tls: ControlPlane['admin']): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: new Agent(tls), signal: AbortSignal.timeout(5_000) }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    call.on('error', reject)
    call.end()
  })
}
