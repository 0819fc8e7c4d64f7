/** `npm run bench -- core|scale|placement|slurm|htcondor|streams|incus [--json]`: progress on standard error, figures on standard output. */
import { parseArgs } from 'node:util'
import { ensureControlPlane } from '../kube/binary.ts'
import { machine, type Figures } from './figures.ts'

type Bench = (say: (text: string) => void, share: number) => Promise<Figures>

const benches: Record<string, () => Promise<Bench>> = {
  core: async () => (await onControlPlane(import('./core.ts'))).benchCore,
  scale: async () => (await onControlPlane(import('./scale.ts'))).benchScale,
  slurm: async () => (await import('./slurm.ts')).benchSlurm,
  htcondor: async () => (await import('./htcondor.ts')).benchHtcondor,
  incus: async () => (await import('./incus.ts')).benchIncus,
  streams: async () => (await import('./streams.ts')).benchStreams,
  placement: async () => (await import('./placement.ts')).benchPlacement
}

const onControlPlane = <T>(bench: Promise<T>): Promise<T> => {
  ensureControlPlane()
  return bench
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, share: { type: 'string', default: '1' } }
})
const name = positionals[0] ?? 'core'
const load = benches[name]
const share = Number(values.share)
if (
  !load ||
  positionals.length > 1 ||
  !(share > 0) ||
  (share !== 1 && !/^(slurm|htcondor|streams|incus)$/.test(name))
) {
  process.stderr.write(
    `usage: npm run bench -- core|scale|placement [--json]\n       npm run bench -- slurm|htcondor|streams|incus [--json] [--share 0.1]\n`
  )
  process.exit(2)
}

const say = (text: string) => void process.stderr.write(`bench ${name}: ${text}\n`)
const figures: Figures = { bench: name, ...machine(), ...(await (await load())(say, share)) }
if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
else
  for (const [figure, value] of Object.entries(figures))
    process.stdout.write(`${figure.padEnd(44)} ${value}\n`)
process.exit(0)
