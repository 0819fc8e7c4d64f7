import { accountingLines } from './lab-accounting.ts'
import { pluginLines } from './lab-programs.ts'

export interface LabShape {
  /** Where its Slurm is, as by `./configure --prefix`; default: this machine's packages. */
  readonly prefix: string | undefined
  readonly nodes: number
  /** Of every node; declared, not real, as are memory and GPUs. */
  readonly cpus: number
  readonly memoryMiB: number
  /** Of type a100. */
  readonly gpus: number
  /** Further devices of every node: `fpga:u250:1`. */
  readonly devices: readonly string[]
  /** Further words of every node, such as `Feature=avx512`. */
  readonly attributes: string
  /** slurmdbd keeps what jobs were; an account and a user of the same name are there. */
  readonly accounting: boolean
  /** How far the clocks of controller and nodes are ahead, by faketime(1). */
  readonly skewSeconds: number
  /** Further lines of slurm.conf. */
  readonly extra: readonly string[]
}

export interface LabPlace {
  readonly dir: string
  readonly user: string
  readonly host: string
  readonly controller: number
  /** Port of slurmdbd. */
  readonly dbd: number
  readonly nodes: readonly { readonly name: string; readonly port: number }[]
}

/** slurm.conf(5) of a lab in which one account is SlurmUser, SlurmdUser and the only user of jobs. */
export function slurmConfiguration(
  shape: LabShape,
  { dir, user, host, controller, dbd, nodes }: LabPlace
): string {
  const devices = devicesOf(shape)
  const gres = devices.length > 0 ? ` Gres=${devices.join(',')}` : ''
  return [
    'ClusterName=lab',
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmUser=${user}`,
    `SlurmdUser=${user}`,
    `SlurmctldPort=${controller}`,
    'AuthType=auth/munge',
    `AuthInfo=socket=${dir}/munge/socket,cred_expire=5`,
    'CredType=cred/munge',
    ...pluginLines(shape.prefix),
    `StateSaveLocation=${dir}/state`,
    `SlurmdSpoolDir=${dir}/spool/%n`,
    `SlurmctldPidFile=${dir}/slurmctld.pid`,
    `SlurmdPidFile=${dir}/slurmd-%n.pid`,
    `SlurmctldLogFile=${dir}/log/slurmctld.log`,
    `SlurmdLogFile=${dir}/log/slurmd-%n.log`,
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    'JobAcctGatherType=jobacct_gather/linux',
    ...(shape.accounting
      ? accountingLines({ dir, port: dbd })
      : ['AccountingStorageType=accounting_storage/none']),
    'MpiDefault=none',
    'SwitchType=switch/none',
    'ReturnToService=2',
    // More CPUs and memory than the machine has.
    'SlurmdParameters=config_overrides',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core_Memory',
    'DefMemPerCPU=256',
    `GresTypes=${[...new Set(['gpu', ...devices.map((device) => device.split(':')[0]!)])].join(',')}`,
    'SchedulerType=sched/backfill',
    'SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,bf_max_job_test=2000',
    'KillWait=3',
    'MessageTimeout=5',
    'JobRequeue=1',
    'PropagateResourceLimits=NONE',
    'MaxJobCount=20000',
    ...shape.extra,
    ...nodes.map(
      ({ name, port }) =>
        `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=${shape.cpus} Boards=1 ` +
        `SocketsPerBoard=1 CoresPerSocket=${shape.cpus} ThreadsPerCore=1 RealMemory=${shape.memoryMiB}${gres} ${shape.attributes} State=UNKNOWN`
    ),
    'PartitionName=debug Nodes=ALL Default=YES MaxTime=01:00:00 DefaultTime=00:10:00 State=UP',
    `PartitionName=short Nodes=${nodes[0]!.name} MaxTime=00:01:00 State=UP`,
    ''
  ].join('\n')
}

/** `name:type:count` of each kind. */
export const devicesOf = ({ gpus, devices }: LabShape): readonly string[] =>
  gpus > 0 ? [`gpu:a100:${gpus}`, ...devices] : devices

/** gres.conf(5); `files` are those of each kind of {@link devicesOf}, absent where none could be made. */
export const gresConfiguration = (
  shape: LabShape,
  nodes: readonly string[],
  files: readonly string[] | undefined
): string =>
  nodes
    .flatMap((node) =>
      devicesOf(shape).map((device, index) => {
        const [name, type, count] = device.split(':')
        return `NodeName=${node} Name=${name} Type=${type} ${files ? `File=${files[index]}` : `Count=${count}`}\n`
      })
    )
    .join('')
