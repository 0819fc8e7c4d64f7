export { startVirtualNodes } from './start.ts'
export type { StartOptions, VirtualNodes } from './start.ts'
