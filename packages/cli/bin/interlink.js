#!/usr/bin/env node
import { existsSync } from 'node:fs'

const built = new URL('../dist/main.js', import.meta.url)
if (!existsSync(built)) {
  process.stderr.write(
    'interlink: not built yet; run `npm run build` (or `npm start`) in the checkout first\n'
  )
  process.exit(1)
}
const { main } = await import(built)
process.exitCode = await main(process.argv.slice(2))
