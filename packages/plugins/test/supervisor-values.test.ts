import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { renderJob } from '../src/kit/supervisor/render-job.ts'
import { shellQuote } from '../src/kit/supervisor/quote.ts'
import { isAlone, output, planOf, startJob, worlds } from './support-supervisor.ts'

const all = await worlds(t)

const hostile = [
  '',
  ' ',
  "'",
  '"',
  `'"'"'`,
  "'\\''",
  '\\',
  '\\n',
  '$(touch /tmp/interlink-was-here)',
  '`touch /tmp/interlink-was-here`',
  '${PATH}',
  '$((1+1))',
  'a\nb\n',
  '\n',
  '\r\n\t',
  '-n',
  '--help',
  '-e',
  '*',
  '~',
  '!!',
  '#no comment',
  'a;b|c&d>e<f(g){h}',
  'äöü ☃ 🚀',
  '\u0001\u007f',
  "';exit 1;'",
  'EOF',
  '%s%n\\0',
  'x'.repeat(120 * 1024)
]

t.test('a quoted value is that value in every shell', async (t) => {
  for (const world of all) {
    const [shell = 'sh', ...first] = world.sh.split(' ')
    for (const value of hostile) {
      const said = await output(shell, [...first, '-c', `printf %s ${shellQuote(value)}`], world.path)
      if (said !== value) t.equal(said, value, world.name)
    }
  }
  t.throws(() => shellQuote('a\0b'), { code: 'PLUGIN_NUL' })
})

t.test(
  'arguments, environment and probes of any content arrive as they are, and are never run',
  async (t) => {
    await Promise.all(
      all.map(async (world) => {
        const env = hostile.map((value, index) => ({ name: `V${index}`, value }))
        const awkward = [
          { name: 'IFS', value: 'x' },
          { name: 'name', value: 'mine' },
          { name: 'DIR', value: '/nowhere' },
          { name: 'PERL', value: '0' },
          { name: 'KEEP', value: 'last' }
        ].filter(({ name }) => !(isAlone(world) && name === 'IFS'))
        const odd = isAlone(world)
          ? []
          : [
              { name: 'a.b-c', value: 'dotted' },
              { name: 'ä', value: "it's" },
              { name: '1', value: 'one' },
              { name: 'UID', value: '0' },
              { name: 'OPTIND', value: 'x' }
            ]
        const small = hostile.filter((value) => value.length < 1000)
        const given = [{ name: 'KEEP', value: 'first' }, ...env, ...awkward, ...odd]
        const job = await startJob(t, world, {
          containers: (dir) => [
            { name: 'env', env: given, run: ['/bin/cp', '/proc/self/environ', join(dir, 'environ')] },
            { name: 'args', run: ['sh', '-c', 'printf "%s\\000" "$@" >"$JOB/args"', 'sh', ...hostile] },
            {
              name: 'hooks',
              run: 'until [ -e "$JOB/hook" ]; do sleep 0.02; done',
              postStart: {
                type: 'exec',
                command: [
                  'sh',
                  '-c',
                  'printf "%s\\000" "$@" >"$JOB/hook.tmp"; mv "$JOB/hook.tmp" "$JOB/hook"',
                  'sh',
                  ...small
                ]
              }
            }
          ]
        })
        t.equal(await job.ended, 0, world.name)
        const environ = (await readFile(join(job.dir, 'environ'), 'utf8')).split('\0')
        for (const { name, value } of given.slice(1)) {
          if (!environ.includes(`${name}=${value}`)) t.fail(`${world.name}: ${name}=${value.slice(0, 40)}`)
        }
        t.notOk(environ.includes('KEEP=first'), 'the last of a name wins')
        t.ok(environ.includes(`INTERLINK_INSTANCE=env.${job.uid}`))
        t.same((await readFile(join(job.dir, 'args'), 'utf8')).split('\0').slice(0, -1), hostile)
        t.same((await readFile(join(job.dir, 'hook'), 'utf8')).split('\0').slice(0, -1), small)
      })
    )
  }
)

t.test('environment names that no tool there can set are a start error that names them', async (t) => {
  for (const world of all.filter(isAlone)) {
    const job = await startJob(t, world, {
      containers: [{ name: 'c', env: [{ name: 'a.b', value: 'secret' }], run: 'echo never' }]
    })
    t.equal(await job.ended, 1)
    const record = (await job.state()).containers.get('c')
    t.match(record, { exitCode: 126, reason: 'StartError', message: /perl or python3.*: a\.b$/ })
    t.notMatch(record?.message, /secret/)
  }
})

t.test('what Linux cannot carry is refused by name before anything is written', async (t) => {
  const render = (container: object) => {
    const { plan, launches } = planOf('uid', '/job', {
      containers: [{ name: 'c', run: 'true', ...container }]
    })
    return () => renderJob(plan, launches, '/job')
  }
  t.throws(render({ env: [{ name: 'BIG', value: 'x'.repeat(128 * 1024) }] }), {
    code: 'PLUGIN_TOO_LONG',
    message: /the environment variable BIG of container c is 131076 bytes long/
  })
  t.doesNotThrow(render({ env: [{ name: 'BIG', value: 'x'.repeat(128 * 1024 - 5) }] }))
  t.throws(render({ run: ['echo', 'a\0b'] }), { code: 'PLUGIN_NUL' })
  t.throws(render({ env: [{ name: 'N', value: 'a\0b' }] }), { code: 'PLUGIN_NUL' })
  const { plan } = planOf('uid', '/job', { containers: [{ name: 'c', run: 'true' }] })
  t.throws(() => renderJob(plan, {}, '/job'), { code: 'PLUGIN_NO_LAUNCH' })
})
