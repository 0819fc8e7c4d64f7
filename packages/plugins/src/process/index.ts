export { processBackend } from './process-backend.ts'
export { ProcessOptions } from './options.ts'
