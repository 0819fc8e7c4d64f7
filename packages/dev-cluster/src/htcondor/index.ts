export * from './lab.ts'
export { findProgram, htcondorMissing } from './lab-programs.ts'
