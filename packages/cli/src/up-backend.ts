import { mkdir } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { BackendModule, PluginConfigInput } from '@interlink-ts/plugins/kit'
import { loadPluginConfig, preflight } from '@interlink-ts/plugins/kit'
import { readLogin } from '@interlink-ts/plugins/slurm'
import { htcondorMissing, startHtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { backendModule } from './backends.ts'
import { UsageError } from './errors.ts'
import { createLogger } from './log.ts'
import type { Narrator } from './narrator.ts'

export interface UpBackendOptions {
  readonly backend: string
  readonly config?: string
  /** `[user@]host[:port]` of a login node. */
  readonly ssh?: string
  /** A private Slurm, HTCondor or Incus of this machine. */
  readonly lab?: boolean
  /** Where the lab's Slurm is installed, if it is not this machine's. */
  readonly slurm?: string
  /** The same of HTCondor: its RELEASE_DIR. */
  readonly htcondor?: string
  readonly dir?: string
}

/** With what `up` starts its plugin. */
export interface UpBackend {
  readonly module: BackendModule
  readonly config: PluginConfigInput
}

/** What is under way, to be ended in the opposite order. */
interface Ground {
  readonly dir: string
  readonly say: Narrator
  readonly cleanups: (() => Promise<unknown>)[]
}

/**
 * Where `up` makes its directory: the nodes of a cluster see the home of the account, and seldom the temporary
 * directory of its login node.
 */
export async function parentDirectory({ backend, ssh, lab }: UpBackendOptions): Promise<string> {
  if (backend !== 'slurm' || ssh !== undefined || lab) return tmpdir()
  const state = join(homedir(), '.local', 'state', 'interlink')
  await mkdir(state, { recursive: true, mode: 0o700 })
  return state
}

/** Where the jobs of `up --ssh` lie, unless `ssh.directory` says. */
const remoteDirectory = '~/.interlink/jobs'

/**
 * The backend with its configuration: the file's, with what the command line says laid over it. Whatever would keep
 * every pod from running is an error here, before a node is registered.
 * @throws UsageError, ConfigError
 */
export async function prepareBackend(options: UpBackendOptions, ground: Ground): Promise<UpBackend> {
  const module = await backendModule(options.backend)
  const { ssh, lab, slurm, htcondor } = options
  const flags = [
    ['--ssh', ssh, 'slurm', 'Slurm'],
    ['--slurm', slurm, 'slurm', 'Slurm'],
    ['--htcondor', htcondor, 'htcondor', 'HTCondor']
  ] as const
  for (const [flag, given, backend, name] of flags)
    if (given !== undefined && module.name !== backend)
      throw new UsageError(`${flag} is of the ${name} backend; add --backend ${backend}`)
  const startLab = Object.hasOwn(labs, module.name) ? labs[module.name as keyof typeof labs] : undefined
  if (lab && !startLab)
    throw new UsageError(`--lab is of the backends ${Object.keys(labs).join(', ')}; add --backend`)
  if (ssh !== undefined && lab)
    throw new UsageError('--ssh and --lab: the lab is on this machine; give one of them')
  const prefix = slurm ?? htcondor
  if (prefix !== undefined && !lab)
    throw new UsageError(
      `--${module.name} is of --lab; the clients of a cluster are found by options.bin of --config`
    )
  const config = await loadPluginConfig(module, {
    ...(options.config === undefined ? {} : { path: options.config }),
    env: {},
    options: await (ssh !== undefined
      ? optionsOfLogin(ssh)
      : lab
        ? startLab!(ground, prefix && resolve(prefix))
        : noOptions)
  })
  const complete: PluginConfigInput = {
    ...config,
    ...(options.dir === undefined && options.config !== undefined ? {} : { root: join(ground.dir, 'jobs') }),
    listen: `unix://${join(ground.dir, 'plugin.sock')}`
  }
  const context = { root: complete.root!, log: createLogger('silent') }
  await preflight(module, complete.options, context).catch((error: Error) => {
    throw new UsageError(error.message, { cause: error })
  })
  return { module, config: complete }
}

const noOptions = { given: {}, defaults: {} }

async function optionsOfLogin(login: string) {
  const { host, found } = await readLogin(login).catch((error: Error) => {
    throw new UsageError(`--ssh: ${error.message}`, { cause: error })
  })
  return { given: { ssh: host }, defaults: { ssh: { directory: remoteDirectory, ...found } } }
}

async function slurmLab({ say, cleanups }: Ground, prefix: string | undefined) {
  const missing = slurmMissing(prefix)
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  const lab = await startSlurmLab({ prefix })
  cleanups.push(() => lab.close())
  const squeue = join(lab.options.bin ?? '', 'squeue')
  say.step('slurm', `${lab.nodes.length} nodes of its own  SLURM_CONF=${lab.env.SLURM_CONF} ${squeue}`)
  return { given: lab.options, defaults: {} }
}

async function htcondorLab({ say, cleanups }: Ground, prefix: string | undefined) {
  const missing = htcondorMissing(prefix)
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}${prefix ? '' : ' by --htcondor PREFIX'}`)
  const lab = await startHtcondorLab({ prefix })
  cleanups.push(() => lab.close())
  const condorQ = join(lab.options.bin ?? '', 'condor_q')
  say.step(
    'htcondor',
    `${lab.nodes.length} machines of its own  CONDOR_CONFIG=${lab.env.CONDOR_CONFIG} ${condorQ}`
  )
  return { given: lab.options, defaults: {} }
}

async function incusLab({ say, cleanups }: Ground) {
  const missing = incusMissing()
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  const lab = await startIncusLab()
  cleanups.push(() => lab.close())
  say.step(
    'incus',
    `a daemon of its own, with the image busybox  INCUS_DIR=${dirname(lab.socket)} incus list`
  )
  return { given: { url: `unix://${lab.socket}` }, defaults: {} }
}

/** By the backend whose options they give. */
const labs = { slurm: slurmLab, htcondor: htcondorLab, incus: incusLab } as const
