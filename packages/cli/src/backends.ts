import type { BackendModule } from '@interlink-ts/plugins/kit'
import { processBackend } from '@interlink-ts/plugins/process'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { UsageError } from './errors.ts'

const modules: readonly BackendModule[] = [processBackend, slurmBackend]

/** The backend of that name, or an error that lists those there are. */
export function backendModule(name: string): BackendModule {
  const found = modules.find((module) => module.name === name)
  if (!found)
    throw new UsageError(
      `backend: "${name}" is not known; known are ${modules.map((module) => module.name).join(', ')}`
    )
  return found
}
