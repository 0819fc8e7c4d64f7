#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=2
import { subscribe } from 'node:diagnostics_channel'
import { existsSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'

// The first line keeps what a burst of pods leaves behind small: the C library would give each thread a heap of its own
// and keep them, which more than doubles the memory of a plugin.
//
// Pods come in bursts, and the first one meets cold code. Optimising what has run a few hundred times takes a quarter
// of the processor then; baseline code at once and optimised code later do better (`npm run bench -- core`).
// A plugin stands on a login node, beside many others': it has no baseline code, and its memory is collected after it
// has grown by a fifth, not doubled. The bench shows no cost of it there (`npm run bench -- slurm`).
// The bytes of a session are hot code and memory that grows: while one is open both are as V8 has them, which takes a
// quarter of the processor (`npm run bench -- streams`).
const isPlugin = process.argv[2] === 'plugin'
const tune = (isStreaming) => {
  setFlagsFromString(`--interrupt-budget=${isStreaming ? 132 * 1024 : 1_000_000}`)
  if (isPlugin) setFlagsFromString(`--heap-growing-percent=${isStreaming ? 0 : 20}`)
}
tune(false)
if (!isPlugin) setFlagsFromString('--always-sparkplug')
subscribe('interlink.streams', ({ open }) => tune(open > 0))

// The last that a build writes.
if (!existsSync(new URL('../dist/complete', import.meta.url))) {
  process.stderr.write(
    'interlink: not built yet, or not to the end; run `npm run build` (or `npm start`) in the checkout first\n'
  )
  process.exit(1)
}
const { main } = await import('../dist/main.js')
process.exitCode = await main(process.argv.slice(2))
