import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Check } from '@interlink-ts/plugins/kit'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { loadApiConfig } from '@interlink-ts/interlink-api/server'
import { createKubeClient, loadKubeConfig } from '@interlink-ts/vk-core/kube'
import { idleBackend } from '../backends.ts'
import { askRights, nameOf, reachCluster, rightsOfNode } from '../cluster-access.ts'
import { UsageError, explain } from '../errors.ts'

const roles = ['up', 'vk', 'api', 'plugin', 'slurm', 'incus', 'htcondor'] as const
/** Asked of only when named: most machines have none of them. */
const sites: readonly string[] = ['slurm', 'incus', 'htcondor']
type Role = (typeof roles)[number]

interface DoctorOptions {
  readonly kubeconfig?: string
  readonly config?: string
  readonly backend?: string
}

/** `interlink doctor`: what each role needs, whether it is there, and how to mend it. Exit status 1 if anything is missing. */
export async function doctor(role: string | undefined, options: DoctorOptions): Promise<void> {
  if (role !== undefined && !(roles as readonly string[]).includes(role))
    throw new UsageError(`doctor: "${role}" is no role; known are ${roles.join(', ')}`)
  if (options.config && !role) throw new UsageError('doctor: --config is of one role; name it')
  const asked = role
    ? [role as Role]
    : roles.filter((name) =>
        name === 'vk' ? options.kubeconfig || process.env.KUBECONFIG : !sites.includes(name)
      )
  let missing = 0
  for (const name of asked) {
    process.stdout.write(`${name}\n`)
    for (const check of await checks[name](options)) {
      process.stdout.write(`  ${check.ok ? '✓' : '✗'} ${check.name.padEnd(22)} ${check.detail}\n`)
      if (!check.ok && check.fix) process.stdout.write(`    ${check.fix}\n`)
      if (!check.ok) missing++
    }
  }
  process.exitCode = missing > 0 ? 1 : 0
}

const checks: Record<Role, (options: DoctorOptions) => Promise<readonly Check[]>> = {
  up: async (options) => [
    nodeVersion(),
    await kubectl(),
    ...(await checks.plugin({ ...(options.backend ? { backend: options.backend } : {}) }))
  ],
  vk: async (options) => [nodeVersion(), ...(await cluster(options.kubeconfig ?? process.env.KUBECONFIG))],
  api: async (options) => (options.config ? await apiPlugins(options.config) : [nodeVersion()]),
  plugin: async ({ backend: name = 'process', config }) => {
    const { backend, devices } = await idleBackend(name, { config })
    try {
      const found = await backend.check()
      if (!devices) return found
      const { checkCards } = await import('@interlink-ts/plugins/devices')
      return [...found, await checkCards(devices, backend)]
    } finally {
      await backend.close?.()
    }
  },
  slurm: (options) => checks.plugin({ ...options, backend: 'slurm' }),
  incus: (options) => checks.plugin({ ...options, backend: 'incus' }),
  htcondor: (options) => checks.plugin({ ...options, backend: 'htcondor' })
}

function nodeVersion(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const ok = major > 20 || (major === 20 && minor >= 19)
  return { name: 'node', ok, detail: process.version, fix: 'install Node.js 20.19 or newer' }
}

/** Good to have: nothing needs it. */
async function kubectl(): Promise<Check> {
  const found = await promisify(execFile)('kubectl', ['version', '--client']).catch(() => undefined)
  return {
    name: 'kubectl',
    ok: true,
    detail: found ? found.stdout.split('\n')[0]! : 'not there; only needed to go on by hand'
  }
}

async function cluster(kubeconfig: string | undefined): Promise<Check[]> {
  const found: Check[] = []
  try {
    const kube = createKubeClient(await loadKubeConfig(kubeconfig ? { path: kubeconfig } : {}), {
      userAgent: 'interlink-doctor'
    })
    found.push({ name: 'API server', ok: true, detail: `${kube.server} ${await reachCluster(kube)}` })
    const allowed = await askRights(kube, rightsOfNode)
    for (const [index, right] of rightsOfNode.entries())
      found.push({
        name: nameOf(right),
        ok: allowed[index]!,
        detail: allowed[index] ? 'allowed' : 'not allowed',
        fix: 'kubectl apply -f deploy/kubernetes/rbac.yaml'
      })
    await kube.close()
  } catch (error) {
    found.push({
      name: 'API server',
      ok: false,
      detail: explain(error),
      fix: 'give a working kubeconfig by --kubeconfig or KUBECONFIG'
    })
  }
  return found
}

async function apiPlugins(path: string): Promise<Check[]> {
  const config = await loadApiConfig({ path, env: process.env })
  const found: Check[] = [{ name: 'configuration', ok: true, detail: path }]
  for (const plugin of config.plugins) {
    const client = createInterlinkClient({ url: plugin.url, verbs: 'plugin', timeoutMs: 5000 })
    try {
      const ping = await client.ping({})
      found.push({
        name: `plugin ${plugin.name}`,
        ok: ping.ok,
        detail: `${plugin.url} ${ping.parsed?.backend ?? ''}`.trim()
      })
    } catch (error) {
      found.push({
        name: `plugin ${plugin.name}`,
        ok: false,
        detail: explain(error),
        fix: `start it: interlink plugin ${plugin.name} --listen ${plugin.url}`
      })
    } finally {
      await client.close()
    }
  }
  return found
}
