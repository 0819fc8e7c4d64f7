import t from 'tap'
import { execFile } from 'node:child_process'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const packages = fileURLToPath(new URL('../../packages/', import.meta.url))

t.test('what is compiled has TypeBox in one file for each entry', async (t) => {
  const direct: string[] = []
  for (const name of await readdir(packages))
    for (const file of await readdir(join(packages, name, 'dist'), { recursive: true }))
      if (
        file.endsWith('.js') &&
        /from ['"]typebox\b/.test(await readFile(join(packages, name, 'dist', file), 'utf8'))
      )
        direct.push(`${name}/dist/${file}`)
  t.same(direct, [], 'these would load its 680 modules one by one')
})

t.test('a schema made by the package typebox is checked by the one that we ship', async (t) => {
  const program = `
    import { Type } from 'typebox'
    import { Value } from '@interlink-ts/interlink-api/typebox/value'
    import { Compile } from '@interlink-ts/interlink-api/typebox/compile'
    const schema = Type.Object({ n: Type.Integer({ default: 3 }), s: Type.Optional(Type.Union([Type.Null(), Type.String()])) })
    console.log(JSON.stringify([Value.Default(schema, {}), Value.Check(schema, { n: 1.5 }), Compile(schema).Check({ n: 1, s: null })]))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: packages,
    env: { PATH: process.env.PATH }
  })
  t.same(JSON.parse(stdout), [{ n: 3 }, false, true])
})

t.test('what a build that was broken off has left is not run', async (t) => {
  const dir = t.testdir({
    'package.json': '{"type":"module"}',
    bin: {},
    dist: { 'main.js': 'throw new Error()' }
  })
  await cp(join(packages, 'cli/bin'), join(dir, 'bin'), { recursive: true })
  const run = promisify(execFile)(process.execPath, [join(dir, 'bin/interlink.js'), 'version'])
  await t.rejects(run, {
    code: 1,
    stderr: /^interlink: not built yet, or not to the end; run `npm run build`/
  })
})
