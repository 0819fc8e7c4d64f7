export { slurmBackend } from './create-slurm.ts'
export { SlurmOptions } from './options.ts'
export { parseLogin, readLogin, type Login } from '../kit/transport/login.ts'
