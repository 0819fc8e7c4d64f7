import type { HtcondorPlaces } from './lab-programs.ts'

export interface LabShape {
  /** RELEASE_DIR of its HTCondor; default: this machine's packages. */
  readonly prefix: string | undefined
  /** Start daemons, each of one partitionable slot. */
  readonly nodes: number
  /** Of every node; declared, not real, as are memory and devices. */
  readonly cpus: number
  readonly memoryMiB: number
  /** NVIDIA A100, simulated by HTCondor's own discovery with all their properties. */
  readonly gpus: number
  /** Names of each further kind of device: `{ fpgas: ['fpga0'] }`. */
  readonly devices: Readonly<Record<string, readonly string[]>>
  /** Otherwise jobs see the temporary directory of a machine of their own, and files are transferred. */
  readonly sharedFileSystem: boolean
  /** Clients know no schedd of their own machine: they must name it, and spool. */
  readonly remoteSchedd: boolean
  /**
   * Unix accounts whose jobs run as themselves, which takes root: tokens lie in their homes, where HTCondor looks for
   * them. Otherwise all jobs are of whoever has started the lab. Files are shared.
   */
  readonly users: readonly { readonly name: string; readonly home: string }[]
  /** Further lines of the configuration of all daemons and clients. */
  readonly extra: readonly string[]
}

export interface LabPlace {
  readonly dir: string
  readonly places: HtcondorPlaces
  /** Of the collector. */
  readonly port: number
  /** `uid.gid` that clients of root take for HTCondor's own account. */
  readonly ids: string
}

/** The domain of users, machines and tokens. */
export const DOMAIN = 'lab.internal'
/** Who owns the lab's jobs, and who its daemons are. */
export const OWNER = 'researcher'
export const DAEMON = 'condor'
export const scheddName = `schedd@${DOMAIN}`

/** `central`, `schedd`, `n1`, …, and `client`. */
export type Role = string

/** The configuration of daemons or clients; LOCAL_DIR is `dir/role`, of clients on the schedd's machine the schedd's. */
export function htcondorConfiguration(shape: LabShape, place: LabPlace, role: Role): string {
  const isNode = /^n\d+$/.test(role)
  const home = role === 'client' && !shape.remoteSchedd ? 'schedd' : role
  const fileSystem = shape.sharedFileSystem || !isNode ? DOMAIN : `${role}.${DOMAIN}`
  return [
    ...directories(place, home, isNode),
    ...identity(place, fileSystem),
    ...security(shape, place, role),
    ...quick,
    ...(home === 'schedd' ? [`SCHEDD_NAME = ${scheddName}`] : []),
    'MAX_JOBS_RUNNING = 5000',
    // Of jobs that ask for none: HTCondor's own is 128 MiB, which the programs that run containers may take alone.
    'JOB_DEFAULT_REQUESTMEMORY = 512',
    'SCHEDD_USE_SLOT_WEIGHT = True',
    'MAIL = /bin/true',
    ...(isNode ? machine(shape, role) : []),
    ...shape.extra,
    ''
  ].join('\n')
}

const directories = ({ dir, places }: LabPlace, home: Role, isNode: boolean): string[] => [
  `RELEASE_DIR = ${places.release}`,
  `LOCAL_DIR = ${dir}/${home}`,
  'BIN = $(RELEASE_DIR)/bin',
  'SBIN = $(RELEASE_DIR)/sbin',
  `LIB = ${places.lib}`,
  `LIBEXEC = ${isNode ? '$(LOCAL_DIR)/libexec' : places.libexec}`,
  'RUN = $(LOCAL_DIR)',
  'LOG = $(LOCAL_DIR)/log',
  'LOCK = $(LOCAL_DIR)/lock',
  'SPOOL = $(LOCAL_DIR)/spool',
  'EXECUTE = $(LOCAL_DIR)/execute',
  'LOCAL_CONFIG_FILE =',
  'LOCAL_CONFIG_DIR ='
]

const identity = ({ port, ids }: LabPlace, fileSystem: string): string[] => [
  'CONDOR_HOST = 127.0.0.1',
  `COLLECTOR_HOST = 127.0.0.1:${port}`,
  'USE_SHARED_PORT = False',
  'NETWORK_INTERFACE = 127.0.0.1',
  'BIND_ALL_INTERFACES = False',
  'ENABLE_IPV6 = False',
  'NO_DNS = True',
  `DEFAULT_DOMAIN_NAME = ${DOMAIN}`,
  `UID_DOMAIN = ${DOMAIN}`,
  `FILESYSTEM_DOMAIN = ${fileSystem}`,
  'TRUST_UID_DOMAIN = True',
  `CONDOR_IDS = ${ids}`
]

/** As a pool of today: everybody has a token, and nobody is believed without. */
const security = ({ users }: LabShape, { dir }: LabPlace, role: Role): string[] => {
  const everybody = [DAEMON, OWNER, ...users.map(({ name }) => name)]
    .map((name) => `${name}@${DOMAIN}`)
    .join(' ')
  return [
    `TRUST_DOMAIN = ${DOMAIN}`,
    'SEC_DEFAULT_AUTHENTICATION = REQUIRED',
    'SEC_CLIENT_AUTHENTICATION = REQUIRED',
    'SEC_DEFAULT_AUTHENTICATION_METHODS = IDTOKENS',
    'SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS',
    'SEC_DEFAULT_ENCRYPTION = REQUIRED',
    'SEC_DEFAULT_INTEGRITY = REQUIRED',
    // Its daemons have no master in common.
    'SEC_USE_FAMILY_SESSION = False',
    'SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/keys',
    'SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(SEC_PASSWORD_DIRECTORY)/POOL',
    `SEC_TOKEN_SYSTEM_DIRECTORY = ${dir}/${role}/tokens`,
    // Otherwise everybody's own, below the home.
    ...(users.length > 0 ? [] : [`SEC_TOKEN_DIRECTORY = ${dir}/${role}/tokens`]),
    `ALLOW_READ = ${everybody}`,
    `ALLOW_WRITE = ${everybody}`,
    `ALLOW_DAEMON = ${DAEMON}@${DOMAIN}`,
    `ALLOW_NEGOTIATOR = ${DAEMON}@${DOMAIN}`,
    `ALLOW_ADMINISTRATOR = ${DAEMON}@${DOMAIN} ${OWNER}@${DOMAIN}`
  ]
}

/** What takes minutes on a pool of thousands takes seconds here. */
const quick = [
  'NEGOTIATOR_INTERVAL = 2',
  'NEGOTIATOR_MIN_INTERVAL = 1',
  'NEGOTIATOR_CYCLE_DELAY = 1',
  'NEGOTIATOR_UPDATE_INTERVAL = 5',
  'SCHEDD_INTERVAL = 2',
  'SCHEDD_MIN_INTERVAL = 1',
  'SCHEDD_INTERVAL_TIMESLICE = 0.5',
  'UPDATE_INTERVAL = 5',
  'POLLING_INTERVAL = 1',
  'STARTER_INITIAL_UPDATE_INTERVAL = 1',
  'STARTER_UPDATE_INTERVAL = 5',
  'SHADOW_QUEUE_UPDATE_INTERVAL = 5',
  'SHADOW_LAZY_QUEUE_UPDATE = False',
  'PERIODIC_EXPR_INTERVAL = 2',
  'MAX_PERIODIC_EXPR_INTERVAL = 2',
  'JOB_START_COUNT = 50',
  'JOB_START_DELAY = 0',
  'JOB_STOP_DELAY = 0',
  'CLAIM_WORKLIFE = 600',
  'RUNBENCHMARKS = False'
]

/** Knobs of one start daemon: a partitionable slot, its devices, and the policy that most pools have for memory. */
const machine = (shape: LabShape, name: Role): string[] => {
  const { cpus, memoryMiB, gpus, devices } = shape
  return [
    `NETWORK_HOSTNAME = ${name}.${DOMAIN}`,
    'START = True',
    'SUSPEND = False',
    'PREEMPT = False',
    'KILL = False',
    'WANT_SUSPEND = False',
    'WANT_VACATE = True',
    `NUM_CPUS = ${cpus}`,
    `MEMORY = ${memoryMiB}`,
    'NUM_SLOTS = 1',
    'NUM_SLOTS_TYPE_1 = 1',
    'SLOT_TYPE_1 = 100%',
    'SLOT_TYPE_1_PARTITIONABLE = True',
    'SLOTS_CONNECTED_TO_CONSOLE = 0',
    'SLOTS_CONNECTED_TO_KEYBOARD = 0',
    // Nobody's control groups are an ordinary account's to use.
    'BASE_CGROUP =',
    'CGROUP_MEMORY_LIMIT_POLICY = none',
    'CREATE_CGROUP_WITHOUT_ROOT = False',
    'DISCARD_SESSION_KEYRING_ON_STARTUP = False',
    'use POLICY : HOLD_IF_MEMORY_EXCEEDED',
    ...(gpus > 0
      ? [`MACHINE_RESOURCE_INVENTORY_GPUs = $(LIBEXEC)/condor_gpu_discovery -properties -simulate:4,${gpus}`]
      : []),
    ...Object.entries(devices).flatMap(([kind, names]) => [
      `MACHINE_RESOURCE_${kind} = ${names.join(', ')}`,
      `ENVIRONMENT_FOR_Assigned${kind} = ${kind.toUpperCase()}_VISIBLE_DEVICES`
    ]),
    // Each is looked for at the start, which takes its time.
    'JAVA =',
    'DOCKER =',
    'FILETRANSFER_PLUGINS = $(LIBEXEC)/curl_plugin, $(LIBEXEC)/data_plugin',
    'SINGULARITY = $(LIBEXEC)/apptainer',
    // The lab is in /tmp itself.
    'MOUNT_UNDER_SCRATCH ='
  ]
}
