// `node --import ./scripts/lib/typescript.mjs FILE.ts`
import { register } from 'node:module'

register('./typescript-loader.mjs', import.meta.url)
process.setSourceMapsEnabled(true)
