import t from 'tap'
import { expandedAnnotation } from '@interlink-ts/interlink-api/wire'
import { expand } from '../src/kit/plan/expand.ts'
import { noticeReasons, planOf, refusalsOf, refusedFields, base64, type Given } from './support-plan.ts'

const main = (given: Given) => planOf(given).containers[0]!
const envOf = (given: Given) => Object.fromEntries(main(given).env.map(({ name, value }) => [name, value]))
const marked = (...done: string[]) => ({ [expandedAnnotation]: done.join(',') })

t.test('$(NAME) is expanded as Kubernetes does it', async (t) => {
  const env: Record<string, string> = { A: 'a', 'x-y.z': '$(A)', EMPTY: '' }
  const cases: [string, string][] = [
    ['$(A)', 'a'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$(x-y.z)', '$(A)'],
    ['$(MISSING)$(EMPTY).', '$(MISSING).'],
    ['$(A', '$(A'],
    ['$A $ $', '$A $ $'],
    ['cost $$5', 'cost $5'],
    ['$($$(A))', '$($$(A))'],
    ['$(A)\n$(A)', 'a\na']
  ]
  for (const [text, expected] of cases)
    t.equal(
      expand(text, (name) => env[name]),
      expected,
      text
    )
})

t.test('whoever has expanded, each text is expanded exactly once', async (t) => {
  const written = {
    env: [
      { name: 'A', value: 'x' },
      { name: 'B', value: '$(A) $$(A)' }
    ],
    args: ['$(B) $$(A)']
  }
  const byNode = {
    env: [
      { name: 'A', value: 'x' },
      { name: 'B', value: 'x $(A)' }
    ],
    args: ['$(B) $$(A)']
  }
  const expected = { B: 'x $(A)', args: ['x $(A) $(A)'] }
  for (const [what, given] of Object.entries({
    'nobody has': { container: written, annotations: marked() },
    'a reference node has expanded env': { container: byNode },
    'the node has expanded env': { container: byNode, annotations: marked('env') },
    'the node has expanded both': {
      container: { ...byNode, args: ['x $(A) $(A)'] },
      annotations: marked('env', 'args')
    },
    'the node has expanded args only': {
      container: { ...written, args: ['x $(A) $(A)'] },
      annotations: marked(' args')
    }
  })) {
    t.equal(envOf(given).B, expected.B, what)
    t.strictSame(main(given).args, expected.args, what)
  }
})

t.test(
  'env names that are no shell names are kept, the last of a name wins, and hostile values survive',
  async (t) => {
    const hostile = `'"\`$(id)\n\\ \u{1F600} --x`
    const env = envOf({
      container: {
        env: [
          { name: 'a-b', value: hostile },
          { name: 'a.b', value: '1' },
          { name: 'a.b', value: '2' },
          { name: 'EMPTY' }
        ]
      }
    })
    t.equal(env['a-b'], hostile)
    t.equal(env['a.b'], '2')
    t.equal(env.EMPTY, '')
    t.equal(env.HOSTNAME, 'pod')
  }
)

t.test('a value that the node has not resolved is refused by its field, unless it is optional', async (t) => {
  const ref = { name: 'cm', key: 'k' }
  t.strictSame(
    refusedFields({
      container: {
        env: [
          { name: 'A', value: '1' },
          { name: 'B', valueFrom: { configMapKeyRef: ref } }
        ]
      }
    }),
    ['spec.containers[0].env[1].valueFrom']
  )
  t.notOk(
    'B' in
      envOf({ container: { env: [{ name: 'B', valueFrom: { secretKeyRef: { ...ref, optional: true } } }] } })
  )
})

t.test('envFrom that is left is taken from what was sent, told, or refused', async (t) => {
  const container = {
    envFrom: [{ prefix: 'P_', configMapRef: { name: 'cm' } }],
    env: [{ name: 'P_b', value: 'own' }]
  }
  const configMaps = [{ metadata: { name: 'cm' }, data: { 'a.x': '1', b: '2' } }]
  const env = envOf({ container, sent: { configMaps } })
  t.equal(env['P_a.x'], '1')
  t.equal(env.P_b, 'own')
  t.strictSame(noticeReasons({ container }), ['EnvFromAssumed'])
  t.strictSame(refusedFields({ container, annotations: marked() }), ['spec.containers[0].envFrom[0]'])
  t.strictSame(noticeReasons({ container, annotations: marked('env') }), [])
})

t.test('NUL and what Linux cannot hand to a program are refused', async (t) => {
  const at = 'spec.containers[0]'
  t.strictSame(refusedFields({ container: { env: [{ name: 'A', value: 'a\0b' }] } }), [`${at}.env[0].value`])
  t.strictSame(refusedFields({ container: { env: [{ name: 'A=B', value: '' }] } }), [`${at}.env[0].name`])
  t.strictSame(refusedFields({ container: { env: [{ name: '', value: '' }] } }), [`${at}.env[0].name`])
  t.strictSame(refusedFields({ container: { command: ['a\0'] } }), [`${at}.command[0]`])
  const longest = 'x'.repeat(131071 - 'A='.length)
  t.strictSame(refusedFields({ container: { env: [{ name: 'A', value: longest }] } }), [])
  t.strictSame(refusedFields({ container: { env: [{ name: 'A', value: `${longest}x` }] } }), [`${at}.env`])
  t.strictSame(refusedFields({ container: { args: Array(14).fill('x'.repeat(131000)) } }), [at])
})

t.test('command and args follow the rules of the entrypoint', async (t) => {
  const both = main({ container: { command: ['c'], args: ['a'] } })
  t.match(both, { command: ['c'], args: ['a'] })
  const neither = main({ container: { command: [], args: [] } })
  t.notOk('command' in neither || 'args' in neither, 'the image decides')
  const args = main({ container: { args: ['a'] } })
  t.notOk('command' in args, "the image's entrypoint with the pod's arguments")
})

t.test('an argument that is wrapped whole in quotes is carried unharmed, and warned of', async (t) => {
  const args = ['-c', "'cd /workspace && python train.py'"]
  const plan = planOf({ container: { command: ['/bin/bash'], args } })
  t.strictSame(plan.containers[0]!.args, args)
  t.match(plan.notices, [{ reason: 'QuotedArgument', message: /spec\.containers\[0\]\.args\[1\].*quotes/ }])
  t.strictSame(noticeReasons({ container: { args: [`echo 'a' 'b'`, `'a' 'b'`, `'`, `''`] } }), [])
})

t.test('base64 of a secret reaches envFrom as text', async (t) => {
  const secrets = [{ metadata: { name: 's' }, data: { KEY: base64('pä ss') } }]
  t.equal(envOf({ container: { envFrom: [{ secretRef: { name: 's' } }] }, sent: { secrets } }).KEY, 'pä ss')
  t.strictSame(refusalsOf({ container: { envFrom: [{ secretRef: { name: 's' } }] }, sent: { secrets } }), [])
})
