// `npm start`: installs and builds what is missing, then is `interlink up` with the arguments given.
import { ensureBuilt } from './lib/build.mjs'
import { ensureDependencies } from './lib/dependencies.mjs'
import { main } from './lib/step.mjs'

await main(async () => {
  await ensureDependencies()
  await ensureBuilt()
  // In this very process, so that Ctrl-C, other signals and the exit status are the command's own.
  process.argv = [...process.argv.slice(0, 2), 'up', ...process.argv.slice(2)]
  await import('../packages/cli/bin/interlink.js')
})
