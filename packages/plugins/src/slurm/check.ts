import type { Check } from '../kit/backend.ts'
import { attempt } from '../kit/checks/attempt.ts'
import { skewCheck } from '../kit/checks/judge-trial.ts'
import { checkNode, type Cluster } from './check-node.ts'
import { isUsable } from './cluster-facts.ts'
import { flavorFlags } from './flavors.ts'
import { wordsOf } from '../kit/transport/words.ts'

const timeoutMs = 30_000

/** What the Slurm backend needs of the cluster, for `interlink doctor`. */
export async function checkSlurm(cluster: Cluster): Promise<Check[]> {
  const { slurm, transport } = cluster
  const clients = await attempt(
    'clients',
    'install Slurm’s clients, or run the plugin where sbatch, squeue and scancel are; SLURM_CONF names a configuration elsewhere',
    async () => `Slurm ${await slurm.version()} on ${transport.where}`
  )
  if (!clients.ok) return [clients]
  const run = async (argv: readonly string[], input = ''): Promise<string> => {
    const ran = await transport.run(argv, { timeoutMs, input })
    if (ran.code !== 0) throw new Error(wordsOf(ran.stderr) || `${argv[0]} does not run`)
    return ran.stdout.toString().trim()
  }
  const controller = await attempt(
    'controller',
    'see that slurmctld runs (scontrol ping), and munged on this machine with the key of the cluster',
    async () => {
      const [config, own] = [await slurm.config(), await slurm.jobs()]
      return `Slurm ${config.get('SLURM_VERSION') ?? '?'} of cluster ${config.get('ClusterName') ?? '?'}; ${own.length} jobs of this account`
    }
  )
  const others = await Promise.all([
    attempt('munge', 'start munged on this machine, with the key of the cluster', () => munge(cluster, run)),
    attempt('lock', 'install util-linux (apt-get install util-linux)', () => run(['flock', '--version'])),
    attempt('login clock', 'install coreutils', () => run(['date', '+%s'])).then((check) =>
      check.ok ? skewCheck(transport.where, Math.abs(Number(check.detail) - Date.now() / 1000)) : check
    )
  ])
  if (!controller.ok) return [clients, controller, ...others]
  return [
    clients,
    controller,
    ...others,
    ...(await Promise.all([
      attempt('nodes', 'see sinfo; nodes that are down or drained run nothing', () => nodes(cluster)),
      attempt('partitions', 'correct options.partition and the flags of options.batch.flavors', () =>
        partitions(cluster)
      ),
      attempt('accounts', 'ask the centre for an account (sacctmgr add user)', () => accounts(cluster, run))
    ])),
    ...(await checkNode(cluster))
  ]
}

type Run = (argv: readonly string[], input?: string) => Promise<string>

async function nodes({ slurm }: Cluster): Promise<string> {
  const { nodes } = await slurm.facts()
  const usable = nodes.filter(isUsable)
  if (usable.length === 0) throw new Error(`none of ${nodes.length} nodes is usable`)
  return `${usable.length} of ${nodes.length} nodes usable`
}

async function partitions({ slurm, options }: Cluster): Promise<string> {
  const { partitions } = await slurm.facts()
  const known = partitions.map(({ name }) => name)
  const named = [
    ...(options.partition === undefined ? [] : [['options.partition', options.partition] as const]),
    ...options.batch.flavors.flatMap((flavor) =>
      flavorFlags(flavor).flatMap(({ name, value }) =>
        name === 'partition' && value ? [[`flavor ${flavor.name}`, value] as const] : []
      )
    )
  ]
  const unknown = named.flatMap(([who, value]) =>
    value.split(',').flatMap((name) => (known.includes(name) ? [] : [`${name} (${who})`]))
  )
  const listed = partitions
    .map(({ name, default: isDefault, open, maxSeconds }) =>
      [
        name,
        isDefault ? '(default)' : '',
        open ? '' : '(takes no jobs)',
        maxSeconds ? `≤ ${Math.floor(maxSeconds / 60)} min` : ''
      ]
        .filter(Boolean)
        .join(' ')
    )
    .join(', ')
  if (unknown.length > 0)
    throw new Error(`there is no partition ${unknown.join(', ')}; there are ${listed || 'none'}`)
  return listed
}

async function accounts({ slurm }: Cluster, run: Run): Promise<string> {
  const config = await slurm.config()
  if (!/slurmdbd/.test(config.get('AccountingStorageType') ?? ''))
    return 'the cluster keeps none; jobs that the controller has forgotten are judged by their files'
  const user = await run(['id', '-un'])
  const found = await slurm.accounts(user)
  if (found.length > 0) return `${user}: ${found.join(', ')}`
  if (/associations|limits|qos|safe/.test(config.get('AccountingStorageEnforce') ?? ''))
    throw new Error(`${user} has none, and the cluster takes no jobs without`)
  return `${user} has none; the cluster does not ask for any`
}

/** The program need not be where the library is: then it is the controller's answer that shows that munge works. */
async function munge({ slurm }: Cluster, run: Run): Promise<string> {
  const config = await slurm.config().catch(() => new Map<string, string>())
  const type = config.get('AuthType') ?? 'auth/munge'
  if (type !== 'auth/munge') return `not needed: ${type}`
  const socket = /(?:^|,)socket=([^,]+)/.exec(config.get('AuthInfo') ?? '')?.[1]
  const there = [
    'sh',
    '-c',
    'command -v munge >/dev/null || { echo absent; exit 0; }; munge -n "$@" >/dev/null && echo here',
    'munge'
  ]
  const said = await run(socket === undefined ? there : [...there, '-S', socket])
  return said === 'here'
    ? 'makes credentials'
    : 'the program munge is not here; the controller shows whether it works'
}
