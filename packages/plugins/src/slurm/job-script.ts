import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Launch, Rendered } from '../kit/backend.ts'
import type { Plan } from '../kit/plan/plan.ts'
import type { JobFile } from '../kit/supervisor/render-job.ts'
import { readAnnotations } from './annotations/read-annotations.ts'

/** Runs the script of a job script builder and follows the containers that it tells of. */
const program = { name: 'script.sh', url: new URL('../../assets/job-script/script.sh', import.meta.url) }

/** The script is beside them: each container is the reading of what it says of that container. */
export function scriptLaunches(plan: Plan, dir: string, shell: string): Rendered {
  const { notices, refusals } = readAnnotations(plan)
  if (refusals.length > 0) return { refusals }
  const last = plan.containers.findLast(({ kind }) => kind === 'main')
  const launches = plan.containers.map((container): [string, Launch] => {
    const kind = container === last ? 'last' : container.kind
    return [
      container.name,
      { run: [shell, join(dir, program.name), 'follow', dir, container.name, kind], enter: [] }
    ]
  })
  return { launches: Object.fromEntries(launches), notices }
}

export const scriptFiles = async (script: string): Promise<JobFile[]> => [
  { path: program.name, mode: 0o600, text: await readFile(program.url, 'utf8') },
  { path: 'jobScript.sh', mode: 0o700, text: script }
]

/** Arguments of the shell that begin the script, and that end what is left of it. */
export const scriptCommand = (mode: 'run' | 'end', dir: string): string[] => [
  join(dir, program.name),
  mode,
  dir
]
