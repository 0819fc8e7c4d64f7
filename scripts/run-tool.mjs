// `run-tool.mjs FILE.ts ARGS…`: installs and builds what is missing, then runs a tool of the repository.
// Standard output is the tool's alone.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureBuilt } from './lib/build.mjs'
import { ensureDependencies } from './lib/dependencies.mjs'
import { main, root } from './lib/step.mjs'

await main(async () => {
  const [file, ...args] = process.argv.slice(2)
  if (!file) throw new Error('usage: run-tool.mjs FILE.ts ARGS…')
  await ensureDependencies()
  await ensureBuilt()
  await import('./lib/typescript.mjs')
  const path = resolve(root, file)
  process.argv = [process.argv[0], path, ...args]
  await import(pathToFileURL(path))
})
