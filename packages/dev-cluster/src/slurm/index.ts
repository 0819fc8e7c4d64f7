export * from './lab.ts'
export { accountingMissing, slurmMissing } from './lab-programs.ts'
