import t from 'tap'
import fc from 'fast-check'
import {
  assignments,
  classadString,
  expressionError,
  submitArguments,
  submitValue
} from '../src/htcondor/classad.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('$(A)', '$$(A)', '$ENV(HOME)', '$INT(x)', 'a"b', "it's", '\\', '\n', '\nqueue 5', '#', '')
)
const thrown = (make: () => string): string | undefined => {
  try {
    return make()
  } catch {
    return undefined
  }
}
/** Of macros only the one that stands for a dollar. */
const withoutDollars = (line: string) => line.replaceAll('$(DOLLAR)', '')

t.test(
  'whatever a text is, what is written of it is one line, and no macro but that of a dollar',
  async () => {
    const isPlain = (line: string | undefined) =>
      line === undefined || (!/[\p{Cc}]/u.test(line) && !withoutDollars(line).includes('$'))
    fc.assert(fc.property(text, (value) => isPlain(thrown(() => classadString(value)))))
    fc.assert(fc.property(text, (value) => isPlain(thrown(() => submitValue(value)))))
    fc.assert(fc.property(fc.array(text), (words) => isPlain(thrown(() => submitArguments(words)))))
  }
)

t.test('a string is closed by its last character alone', async (t) => {
  const inside = /^"((?:[^"\\]|\\.)*)"$/
  fc.assert(
    fc.property(text, (value) => {
      const literal = thrown(() => classadString(value))
      return literal === undefined || inside.test(literal)
    })
  )
  t.equal(classadString('a"b\\c'), '"a\\"b\\\\c"')
  t.equal(classadString('$$(x)\n'), '"\\044\\044(x)\\012"')
  t.throws(() => classadString('\0'), /NUL/)
})

t.test(
  'arguments are words as they are, and what HTCondor would expand at the match is refused',
  async (t) => {
    t.equal(
      submitArguments(['/a b', "it's", 'say "x"', '$HOME']),
      `"'/a b' 'it''s' 'say ""x""' '$(DOLLAR)HOME'"`
    )
    t.throws(() => submitArguments(['$$(Name)']), /\$\$/)
    t.throws(() => submitValue('/a\nqueue'), /control character/)
    t.throws(() => submitValue('/a '), /blank/)
    t.throws(() => submitValue('/a\\'), /backslash/)
  }
)

t.test('an expression of a pod cannot leave the parentheses that it is put in', async (t) => {
  const fine = [
    'true',
    'TARGET.Memory >= 2000 && (Arch == "X86_64" || OpSys =?= "LINUX")',
    'regexp("^a\\"b", Machine, "i")',
    'ifThenElse(isUndefined(HasGPU), 0, 1.5e3)',
    "member('Odd Name', {1, 2})",
    'GPUs_DeviceName =!= undefined ? 2K : -1'
  ]
  for (const expression of fine) t.equal(expressionError(expression), undefined, expression)
  const wrong: Record<string, RegExp> = {
    'true) || (true': /closes nothing/,
    '(true': /is not closed/,
    '"open': /not closed/,
    'a == [b)': /closes nothing/,
    'a // b': /comment/,
    'a /* b': /comment/,
    '$(Owner)': /\$/,
    'a\nqueue 100': /newline/,
    'a = 1': /assigns/,
    'a; b': /assigns/,
    'a \\': /nothing that ClassAds know/,
    '': /empty/,
    ' && ': /empty/
  }
  for (const [expression, message] of Object.entries(wrong))
    t.match(expressionError(expression), message, expression)
})

t.test('assignments are lines or have semicolons between, and strings may hold both', async (t) => {
  t.same(assignments('+A = "x;y"; B = 2\n\nC=?=3 == 1'.replace('C=?=3', 'C = 3')), [
    { name: 'A', value: '"x;y"' },
    { name: 'B', value: '2' },
    { name: 'C', value: '3 == 1' }
  ])
  t.throws(() => assignments('A'), /is no assignment/)
  t.throws(() => assignments('A == 2'), /is no assignment/)
  t.throws(() => assignments('A = '), /empty/)
  t.throws(() => assignments('A = $(B)'), /\$/)
})
