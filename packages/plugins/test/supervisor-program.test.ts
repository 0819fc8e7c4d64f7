import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { requireReal } from '../../../test/support/require-real.ts'
import { supervisorParts, supervisorProgram } from '../src/kit/supervisor/write-job.ts'
import { worlds } from './support-supervisor.ts'

const run = promisify(execFile)

/**
 * What shellcheck cannot know here: `a= b=` empties variables (SC1007), `done` is a phase (SC1010), programs of
 * perl, python and awk keep their dollars (SC2016), confs and `load` assign (SC2154), names of programs are
 * values (SC2209), and a byte is made by a format (SC2059).
 */
const EXCLUDED = 'SC1007,SC1010,SC2016,SC2059,SC2154,SC2209'

t.test('every part of the supervisor is in the one program, and begins with what it is', async (t) => {
  const folder = new URL('./', supervisorParts[0])
  t.same(
    (await readdir(folder)).sort(),
    supervisorParts.map((part) => part.pathname.split('/').at(-1)).sort()
  )
  for (const part of supervisorParts) {
    const lines = (await readFile(part, 'utf8')).split('\n')
    t.match(
      lines.find((line) => !line.startsWith('#!')),
      /^# [A-Z`]/,
      part.pathname
    )
    t.ok(lines.length <= 250, part.pathname)
  }
})

t.test(
  'each shell takes the program, and shellcheck has nothing to say against what runs in jobs',
  async (t) => {
    const program = await supervisorProgram()
    for (const { name, sh, path } of await worlds(t)) {
      const [shell = 'sh', ...first] = sh.split(' ')
      await t.resolves(run(shell, [...first, '-n', '-c', program], { env: { PATH: path } }), name)
    }
    await t.test('shellcheck', async (t) => {
      const absent = await run('shellcheck', ['--version']).then(
        () => undefined,
        () => 'there is no shellcheck; install it'
      )
      if (!requireReal(t, absent)) return
      const isolate = await readFile(new URL('../assets/isolate.sh', import.meta.url), 'utf8')
      for (const text of [program, isolate]) {
        const check = run('shellcheck', ['-s', 'sh', '-f', 'gcc', '-e', EXCLUDED, '-'])
        check.child.stdin?.end(text)
        const said = await check.then(
          ({ stdout }) => stdout,
          ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr
        )
        t.equal(said, '')
      }
    })
  }
)
