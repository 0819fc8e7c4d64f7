/** What starts real services on this machine, waits for them, and ends them however this process ends. */
export * from './eventually.ts'
export * from './free-port.ts'
export * from './reaper.ts'
