// `npm run build`: dist of every package.
import { ensureBuilt } from './lib/build.mjs'
import { main } from './lib/step.mjs'

await main(ensureBuilt)
