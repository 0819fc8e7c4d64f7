export { slurmBackend } from './slurm-backend.ts'
export { SlurmOptions } from './options.ts'
