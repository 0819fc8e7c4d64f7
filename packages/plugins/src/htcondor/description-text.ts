/**
 * Submit descriptions as text: of one job, or of several that one condor_submit takes; condor_submit(1), "queue". Pure.
 * What every pod has of its own comes as a row of a table, all else is the same for all of them: nothing that one pod
 * says can stay in force for the next.
 */

/** Its name and its value as they are written; `own`: it differs from pod to pod by its nature. */
export interface Command {
  readonly name: string
  readonly value: string
  readonly own?: true
}

/** A job as condor_submit takes it; it holds nothing secret: condor_q shows it. */
export interface Described {
  readonly commands: readonly Command[]
  /** Lines of the site, the same for all pods. */
  readonly extra: readonly string[]
}

/** Of one job. */
export const textOf = (job: Described): string => render(job, ({ value }) => value, ['queue 1'])

/** What a row can hold as it is: neither macros nor what separates its words; quotes around it are the table's. */
const plain = /^(["']*)([\w./:@+~-]+)(["']*)$/
/** Lines that are more than a command: of the jobs of a table, not all would be there at once. */
const binding = /^\s*(queue|max_idle|max_materialize|jobset\w*)\b/i

/** What jobs have in common that can go together, or undefined of one that goes alone. */
export function commonOf(job: Described): string | undefined {
  const own = job.commands.filter((command) => command.own)
  if (!own.every(({ value }) => plain.test(value)) || job.extra.some((line) => binding.test(line)))
    return undefined
  return render(job, rowValue(own), [])
}

/** Of jobs that have the same in common, in their order. */
export function tableOf(jobs: readonly Described[]): string {
  const columns = jobs[0]!.commands.filter((command) => command.own)
  const rows = jobs.map(({ commands }) =>
    commands.flatMap(({ value, own }) => (own ? [plain.exec(value)![2]!] : [])).join(', ')
  )
  const names = columns.map((_, index) => variable(index)).join(',')
  return render(jobs[0]!, rowValue(columns), [`queue ${names} from (`, ...rows, ')'])
}

/** No word of the queue command begins like it, as `in` does. */
const variable = (index: number): string => `pod${index}`

const rowValue =
  (columns: readonly Command[]) =>
  (command: Command): string =>
    command.own ? command.value.replace(plain, `$1$(${variable(columns.indexOf(command))})$3`) : command.value

const render = (
  { commands, extra }: Described,
  valueOf: (command: Command) => string,
  queue: readonly string[]
): string =>
  [...commands.map((command) => `${command.name} = ${valueOf(command)}`), ...extra, ...queue, ''].join('\n')
