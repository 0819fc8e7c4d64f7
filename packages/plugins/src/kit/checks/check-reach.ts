import { text } from 'node:stream/consumers'
import type { Check } from '../backend.ts'
import type { LiveProcess } from '../streams/hub.ts'

/** Of perl, which the hub of sessions is written in. */
const modules = ['Fcntl', 'POSIX', 'Socket', 'Time::HiRes']
const here = 'here'

/** What is started beside a job to see whether sessions could be; it runs `further` of perl too. */
export const reachArgv = (further = ''): string[] => [
  'perl',
  ...modules.map((module) => `-M${module}`),
  '-e',
  `${further}print '${here}'`
]

export interface ReachWay {
  readonly name: string
  /** Resolves with why the job was not reached, or fails with it. */
  tried(): Promise<string | undefined>
}

/** Whether exec, attach, cp and port-forward would reach a job that runs: by the first way that does. */
export async function checkReach(ways: readonly ReachWay[], fix: string): Promise<Check> {
  const name = 'exec'
  if (ways.length === 0) return { name, ok: true, detail: 'not offered: options.streams.via is empty' }
  const reasons: string[] = []
  for (const way of ways) {
    const reason = await way.tried().catch((error: Error) => error.message)
    if (reason === undefined)
      return { name, ok: true, detail: ['reached by ' + way.name, ...reasons].join('; '), fix }
    reasons.push(`${way.name}: ${reason}`)
  }
  return { name, ok: false, detail: reasons.join('; '), fix }
}

/** Why a program of {@link reachArgv} has not said that it is there, or undefined. */
export async function reachedBy(program: LiveProcess, seconds: number): Promise<string | undefined> {
  const late = setTimeout(() => program.kill(), seconds * 1000)
  program.stdin.end()
  const [said, words] = await Promise.all([text(program.stdout), text(program.stderr)]).finally(() =>
    clearTimeout(late)
  )
  if (said.endsWith(here)) return undefined
  return words.trim().split('\n').at(-1) || `no answer within ${seconds} s`
}
