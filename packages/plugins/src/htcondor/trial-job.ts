/** The test job of `interlink doctor`: its program and its description. Pure. */
import { join } from 'node:path'
import { apptainerTrial, type NodeReport, type Trial } from '../kit/checks/trial.ts'
import { shellQuote } from '../kit/supervisor/quote.ts'
import { classadString, submitArguments, submitValue } from './classad.ts'
import { waysOf } from './htcondor-streams.ts'
import type { HtcondorOptions } from './options.ts'

export type Files = HtcondorOptions['files']

/** `probe`: the path of the probe, as the plugin has it. */
export function trialOf(
  { submit, containers, streams }: Pick<HtcondorOptions, 'submit' | 'containers' | 'streams'>,
  probe: string
): Trial {
  const { runtime, tool = runtime, shell, options } = containers
  return {
    ...{ preamble: submit.preamble, shell, tool },
    lines: [
      `[ "$(cat ${shellQuote(probe)} 2>/dev/null)" = "$probe" ] && tell seen yes`,
      `tell machineDomain "$(sed -n 's/^FileSystemDomain = "\\(.*\\)"$/\\1/p' "$_CONDOR_MACHINE_AD" 2>/dev/null)"`,
      ...(runtime === 'host' ? [] : apptainerTrial(options)),
      'tell code "$code"'
    ],
    lingerSeconds: streams.startSeconds * waysOf(streams).length
  }
}

/** A job of `files: shared` runs only where the machine says that it shares the file systems of who submits. */
export const isShared = (
  { seen, machineDomain }: NodeReport['facts'],
  ownDomain: string | undefined
): boolean => seen === 'yes' && machineDomain === ownDomain

const carried = [
  'should_transfer_files = YES',
  'when_to_transfer_output = ON_EXIT',
  'transfer_input_files = trial.sh, probe',
  'transfer_output_files = report'
]

/** As that of a pod that asks for nothing, in the directory `dir`. */
export function describeTrial({ submit, containers }: HtcondorOptions, dir: string, files: Files): string {
  const { requirements, accounting, extra } = submit
  const script = files === 'shared' ? join(dir, 'trial.sh') : 'trial.sh'
  return [
    'universe = vanilla',
    `executable = ${submitValue(containers.shell)}`,
    'transfer_executable = false',
    `arguments = ${submitArguments([script])}`,
    `initialdir = ${submitValue(dir)}`,
    ...(files === 'shared' ? ['should_transfer_files = NO'] : carried),
    'notification = never',
    'kill_sig = SIGTERM',
    ...(requirements === undefined ? [] : [`requirements = (${requirements})`]),
    ...(accounting.group === undefined ? [] : [`accounting_group = ${accounting.group}`]),
    ...(accounting.user === undefined ? [] : [`accounting_group_user = ${accounting.user}`]),
    `+JobBatchName = ${classadString('interlink-doctor')}`,
    ...extra,
    'queue 1',
    ''
  ].join('\n')
}
