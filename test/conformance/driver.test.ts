import t from 'tap'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { startPlugin } from '@interlink-ts/plugins/kit'
import { processBackend } from '@interlink-ts/plugins/process'
import { imageLabMissing } from '../slurm/image-lab.ts'
import { freePort } from '../support/free-port.ts'
import { spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))
const loader = new URL('../../scripts/lib/typescript.mjs', import.meta.url).href

async function conformance(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawnReaped(
    process.execPath,
    ['--conditions=interlink-ts-source', `--import=${loader}`, main, ...args],
    { env, stdio: ['ignore', 'pipe', 'pipe'] }
  )
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close')
  ])
  return { code, stdout, stderr }
}

t.test('a private Slurm is started, tried, and ended', async (t) => {
  if (!requireReal(t, imageLabMissing())) return
  const tmp = temporaryDirectory('conformance')
  t.teardown(() => tmp.remove())
  const { code, stdout, stderr } = await conformance(
    ['--backend', 'slurm', '--lab', '--json', '--only', 'exit code'],
    { ...process.env, TMPDIR: tmp.path, SLURM_CONF: '' }
  )
  t.equal(code, 0, stderr)
  const counts = JSON.parse(stdout) as Record<string, number>
  t.ok(counts.passed! > 0)
  t.same({ ...counts, passed: 0 }, { passed: 0, failed: 0, refused: 0, skipped: 0 })
  t.same(await readdir(tmp.path), [], 'nothing is left')
})

t.test('a plugin that runs already is tried where it is', async (t) => {
  const root = temporaryDirectory('plugin')
  const config = { listen: `http://127.0.0.1:${await freePort()}`, root: join(root.path, 'jobs') }
  const plugin = await startPlugin({ module: processBackend, config, log: pino({ level: 'silent' }) })
  t.teardown(() => plugin.close().then(() => root.remove()))
  const { code, stdout, stderr } = await conformance(['--url', plugin.url, '--json', '--only', 'exit code'])
  t.equal(code, 0, stderr)
  t.ok((JSON.parse(stdout) as { passed: number }).passed > 0)
})

t.test('options that do not fit are refused in words', async (t) => {
  const nobody = `http://127.0.0.1:${await freePort()}`
  const wrong: readonly [readonly string[], RegExp][] = [
    [['--bakend', 'slurm'], /Unknown option '--bakend'; options are --backend, --lab/],
    [['--backend', 'process', '--lab'], /--lab is of the backends incus, .*htcondor, slurm, slurm-ssh/],
    [['--backend', 'slurm', '--slurm', '/opt/slurm'], /--slurm is of --lab/],
    [['--backend', 'slurm', '--lab', '--slurm', '/no'], /--lab: there is no \/no\/bin\/sbatch/],
    [['--url', nobody], /does not answer: /],
    [['--url', nobody, '--backend', 'process'], /leave out --backend/],
    [['--only', 'no such case'], /--only: none of the \d+ cases/]
  ]
  const said = await Promise.all(wrong.map(([args]) => conformance(args)))
  for (const [index, { code, stdout, stderr }] of said.entries()) {
    const [args, words] = wrong[index]!
    t.equal(code, 2, args.join(' '))
    t.match(stderr, words)
    t.equal(stdout, '')
  }
})
