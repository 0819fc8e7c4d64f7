import { createWorkbench, Refused, type Makings, type Workbench } from './workbench.ts'

export interface Case {
  /** A sentence. */
  readonly name: string
  /** Throws where the backend does not conform. */
  run(bench: Workbench): Promise<void>
}

export interface Result {
  readonly name: string
  /** `refused`: the backend says in words that it cannot run such a pod. */
  readonly outcome: 'passed' | 'failed' | 'refused' | 'skipped'
  readonly detail?: string
  readonly ms: number
}

/** A case that this machine cannot tell anything by, with the reason. */
export class Skipped extends Error {}

const deadlineMs = 120_000

/** Runs the cases, some at a time, and yields their results in the order they were given. */
export async function* runCases(
  cases: readonly Case[],
  url: string,
  makings: Makings,
  parallel: number
): AsyncGenerator<Result> {
  const results: Promise<Result>[] = []
  let next = 0
  const free: (() => void)[] = []
  let busy = 0
  const slot = async () => {
    if (busy >= parallel) await new Promise<void>((resolve) => free.push(resolve))
    busy++
  }
  for (const one of cases)
    results.push(
      (async () => {
        await slot()
        try {
          return await runCase(one, url, makings)
        } finally {
          busy--
          free.shift()?.()
        }
      })()
    )
  while (next < results.length) yield await results[next++]!
}

/** Where a backend declares what it declines, that is what it must refuse, in these words, and nothing else. */
export function judge(result: Result, declines: Readonly<Record<string, RegExp>> | undefined): Result {
  const words = declines?.[result.name]
  if (declines === undefined || (words === undefined && result.outcome !== 'refused')) return result
  const said = result.detail ?? ''
  if (words === undefined) return { ...result, outcome: 'failed', detail: `declared by nobody: ${said}` }
  if (result.outcome === 'refused' && words.test(said)) return result
  return { ...result, outcome: 'failed', detail: `not refused as declared (${words.source}): ${said}` }
}

async function runCase({ name, run }: Case, url: string, makings: Makings): Promise<Result> {
  const began = Date.now()
  const bench = createWorkbench(url, makings)
  let late: NodeJS.Timeout | undefined
  try {
    await Promise.race([
      run(bench),
      new Promise((_, reject) => {
        late = setTimeout(() => reject(new Error(`not over after ${deadlineMs / 1000} s`)), deadlineMs)
      })
    ])
    await bench.cleanUp()
    return { name, outcome: 'passed', ms: Date.now() - began }
  } catch (error) {
    await bench.cleanUp().catch(() => {})
    const { message, stack } = error as Error
    const outcome = error instanceof Refused ? 'refused' : error instanceof Skipped ? 'skipped' : 'failed'
    const where =
      outcome === 'failed'
        ? stack
            ?.split('\n')
            .find((line) => line.includes('/cases/'))
            ?.trim()
        : ''
    return { name, outcome, detail: [message, where].filter(Boolean).join('\n'), ms: Date.now() - began }
  } finally {
    clearTimeout(late)
  }
}
