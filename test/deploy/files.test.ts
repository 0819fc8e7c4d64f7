import t from 'tap'
import { execFile, execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { root } from './guide.ts'

const run = promisify(execFile)

t.test('systemd takes the units without a word', async (t) => {
  const missing = await run('systemd-analyze', ['--version']).then(
    () => undefined,
    () => 'there is no systemd-analyze'
  )
  if (!requireReal(t, missing)) return
  // systemd makes socket addresses of it, which have to be short
  const directoryOfUser = temporaryDirectory('units')
  t.teardown(() => directoryOfUser.remove())
  const home = directoryOfUser.path
  await mkdir(join(home, 'runtime'))
  await symlink(root, join(home, 'interlink-ts'))
  const directory = join(root, 'deploy/systemd')
  const units = (await readdir(directory)).map((name) => join(directory, name))
  t.ok(units.length > 0)
  const env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: join(home, 'runtime') }
  const { stdout, stderr } = await run('systemd-analyze', ['--user', 'verify', ...units], { env })
  t.equal(stdout + stderr, '')
})

t.test('the image is made of files that are in the repository, and has what the command needs', async (t) => {
  const lines = (await readFile(join(root, 'deploy/Dockerfile'), 'utf8')).split('\n')
  const copied = lines
    .map((line) => /^COPY (?!--from)(.*) \S+$/.exec(line)?.[1])
    .flatMap((sources) => sources?.split(' ') ?? [])
  const known = new Set(execFileSync('git', ['ls-files', '-z'], { cwd: root }).toString().split('\0'))
  for (const source of copied)
    t.ok(
      [...known].some((file) => file === source || file.startsWith(`${source}/`)),
      `${source} is there`
    )
  const entry = lines.map((line) => /^ENTRYPOINT \["\/opt\/interlink\/(.*)"\]/.exec(line)?.[1]).find(Boolean)
  t.ok(known.has(entry!), `${entry} is there`)
})
