/** `npm run bench -- core|scale [--json]`: progress on standard error, figures on standard output. */
import { parseArgs } from 'node:util'
import { ensureControlPlane } from '../kube/binary.ts'
import { machine, type Figures } from './figures.ts'

const benches: Record<string, () => Promise<(say: (text: string) => void) => Promise<Figures>>> = {
  core: async () => (await import('./core.ts')).benchCore,
  scale: async () => (await import('./scale.ts')).benchScale
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } })
const name = positionals[0] ?? 'core'
const load = benches[name]
if (!load || positionals.length > 1) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(benches).join('|')} [--json]\n`)
  process.exit(2)
}

ensureControlPlane()
const say = (text: string) => void process.stderr.write(`bench ${name}: ${text}\n`)
const figures: Figures = { bench: name, ...machine(), ...(await (await load())(say)) }
if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
else
  for (const [figure, value] of Object.entries(figures))
    process.stdout.write(`${figure.padEnd(44)} ${value}\n`)
process.exit(0)
