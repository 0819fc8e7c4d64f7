export { slurmBackend } from './slurm-backend.ts'
export { SlurmOptions } from './options.ts'
export { parseLogin, readLogin, type Login } from './transport/login.ts'
