export { incusMissing, startIncusLab, type IncusLab, type IncusLabOptions } from './lab.ts'
