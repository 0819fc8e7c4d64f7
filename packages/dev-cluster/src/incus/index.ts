export { incusMissing, startIncusLab, type IncusLab } from './lab.ts'
