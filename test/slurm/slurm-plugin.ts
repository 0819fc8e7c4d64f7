import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { pluginsOf, type TestPlugin } from '../support/plugin.ts'

export * from '../support/plugin.ts'
export type SlurmPlugin = TestPlugin
export const startSlurmPlugin = pluginsOf(slurmBackend)
