export { incusBackend } from './incus-backend.ts'
export { IncusOptions } from './options.ts'
