import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Lab, LabFlags } from '../commands/lab/session.ts'

export const json = (command: Command): Command =>
  command
    .option('--json', 'print JSON')
    .option('--wait <seconds>', 'for one answer of a remote', seconds, 30)
    .addOption(new Option('--lab-dir <directory>', 'of lab.yaml and the files of users').env('INTERLINK_LAB'))

export const scoped = (command: Command): Command =>
  json(command)
    .option('-r, --remote <name>', 'where the scope names none')
    .option('-p, --project <name>', 'where the scope names none')
    .option('-u, --user <name>', 'the project of that user')
    .option('-x, --relax', 'where scope and options differ, the scope counts')

/** Columns are as wide as what they hold: FIGO's words for that are taken, and change nothing. */
export const listing = (command: Command): Command =>
  scoped(command)
    .option('-e, --extend', 'more columns, where there are any')
    .addOption(new Option('-j, --join').hideHelp())

type Verb<A extends unknown[], F extends LabFlags> = (lab: Lab, flags: F, ...args: A) => Promise<void>

/** Arguments and options as commander gives them: the arguments, then the options, then the command itself. */
export const run =
  <A extends unknown[], F extends LabFlags>(load: () => Promise<Verb<A, F>>) =>
  async (...given: unknown[]): Promise<void> => {
    const [{ withLab }, verb] = await Promise.all([import('../commands/lab/session.ts'), load()])
    const args = given.slice(0, -2) as A
    await withLab(given.at(-2) as F, verb, ...args)
  }

export function seconds(text: string): number {
  if (!/^\d{1,6}$/.test(text) || text === '0')
    throw new InvalidArgumentError('Expected a whole number above zero.')
  return Number(text)
}

export const several = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]
