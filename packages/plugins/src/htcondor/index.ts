export { htcondorBackend } from './create-htcondor.ts'
export { HtcondorOptions } from './options.ts'
