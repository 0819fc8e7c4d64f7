/** sbatch(1) of 22.05 to 24.11: every option, and whether a value follows. */
type Value = 'required' | 'optional' | 'none'

export interface SbatchOption {
  readonly name: string
  readonly short?: string
  readonly value: Value
}

const required = `
  account:A acctg-freq array:a batch bb bbf begin:b chdir:D cluster-constraint clusters:M comment constraint:C
  container container-id core-spec:S cores-per-socket cpu-freq cpus-per-gpu cpus-per-task:c deadline delay-boot
  dependency:d distribution:m error:e exclude:x export export-file extra extra-node-info:B gid gpu-bind gpu-freq
  gpus:G gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint input:i job-name:J kill-on-invalid-dep
  licenses:L mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nodefile:F
  nodelist:w nodes:N ntasks:n ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode output:o
  partition:p power prefer priority profile qos:q reservation segment signal sockets-per-node switches thread-spec
  threads-per-core time:t time-min tmp tres-bind tres-per-task uid wait-all-nodes wckey wrap`
const optional = `exclusive get-user-env nice no-kill:k oom-kill-step propagate resv-ports`
const none = `
  autocomplete contiguous help hold:H ignore-pbs immediate:I no-requeue overcommit:O oversubscribe:s parsable
  quiet:Q reboot requeue spread-job stepmgr test-only usage use-min-nodes verbose:v version:V wait:W`

const read = (list: string, value: Value): SbatchOption[] =>
  list
    .trim()
    .split(/\s+/)
    .map((entry) => {
      const [name = '', short] = entry.split(':')
      return { name, value, ...(short ? { short } : {}) }
    })

/** Names that sbatch takes for another. */
const otherNames: Readonly<Record<string, string>> = {
  cluster: 'clusters',
  share: 'oversubscribe',
  tasks: 'ntasks',
  'tasks-per-node': 'ntasks-per-node',
  workdir: 'chdir'
}

export const sbatchOptions: readonly SbatchOption[] = [
  ...read(required, 'required'),
  ...read(optional, 'optional'),
  ...read(none, 'none')
]

const byName = new Map(sbatchOptions.map((option) => [option.name, option]))
const byShort = new Map(
  sbatchOptions.flatMap((option) => (option.short ? [[option.short, option] as const] : []))
)

export const shortOption = (letter: string): SbatchOption | undefined =>
  letter === 'h' ? byName.get('help') : byShort.get(letter)

/** The option of a long name, or of a beginning that only one name has: getopt_long(3). */
export function longOption(name: string): SbatchOption | undefined {
  const exact = byName.get(otherNames[name] ?? name)
  if (exact) return exact
  const begun = name === '' ? [] : sbatchOptions.filter((option) => option.name.startsWith(name))
  return begun.length === 1 ? begun[0] : undefined
}
