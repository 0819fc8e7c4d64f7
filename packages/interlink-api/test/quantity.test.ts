import t from 'tap'
import {
  addQuantities,
  divideUp,
  isWhole,
  parseQuantity,
  toMillis,
  toNumber,
  toUnits
} from '../src/wire/quantity.ts'

const nano = (units: bigint) => units * 1_000_000_000n

t.test('every suffix of a quantity is read exactly', async (t) => {
  const cases: [string | number, bigint][] = [
    ['1', nano(1n)],
    [3, nano(3n)],
    [0.5, 500_000_000n],
    ['+2', nano(2n)],
    ['-1', nano(-1n)],
    ['.5', 500_000_000n],
    ['5.', nano(5n)],
    ['100n', 100n],
    ['7u', 7_000n],
    ['250m', 250_000_000n],
    ['1k', nano(1000n)],
    ['1M', nano(10n ** 6n)],
    ['1G', nano(10n ** 9n)],
    ['1T', nano(10n ** 12n)],
    ['1P', nano(10n ** 15n)],
    ['1E', nano(10n ** 18n)],
    ['1Ki', nano(1024n)],
    ['1Mi', nano(1024n ** 2n)],
    ['1.5Gi', nano(1536n * 1024n ** 2n)],
    ['1Ti', nano(1024n ** 4n)],
    ['1Pi', nano(1024n ** 5n)],
    ['1Ei', nano(1024n ** 6n)],
    ['1e3', nano(1000n)],
    ['12E-1', 1_200_000_000n],
    ['9007199254740993', nano(9007199254740993n)],
    ['0.0000000001', 1n]
  ]
  for (const [text, expected] of cases) t.equal(parseQuantity(text), expected, String(text))
})

t.test('what is no quantity is not read', async (t) => {
  for (const text of [
    '',
    '.',
    'm',
    '1 Gi',
    '1gi',
    '1K',
    '1KiB',
    '0x10',
    '1e',
    '1e999',
    '1,5',
    'NaN',
    '--1',
    '1\n'
  ]) {
    t.equal(parseQuantity(text), undefined, JSON.stringify(text))
  }
})

t.test('millis and units are rounded up, as the API server rounds', async (t) => {
  t.equal(toMillis(parseQuantity('1.0001')!), 1001)
  t.equal(toUnits(parseQuantity('1500m')!), 2)
  t.equal(toUnits(parseQuantity('2')!), 2)
  t.notOk(isWhole(parseQuantity('1500m')!))
  t.ok(isWhole(parseQuantity('2k')!))
})

t.test('divisors are counted rounded up, as the downward API shows them', async (t) => {
  const divided = (value: string, divisor: string) => divideUp(parseQuantity(value)!, parseQuantity(divisor)!)
  t.equal(divided('100m', '1'), '1')
  t.equal(divided('100m', '1m'), '100')
  t.equal(divided('1073741825', '1Mi'), '1025')
})

t.test('numbers for showing are exact', async (t) => {
  for (const [text, number] of [
    ['100m', 0.1],
    ['1500m', 1.5],
    ['250u', 0.00025],
    ['0.5Gi', 2 ** 29],
    ['100Ti', 100 * 2 ** 40],
    ['-1', -1]
  ] as const)
    t.equal(toNumber(parseQuantity(text)!), number, text)
})

t.test('sums keep the suffix that all share where it comes out even', async (t) => {
  t.equal(addQuantities(['1Gi', '2Gi']), '3Gi')
  t.equal(addQuantities(['1.5Gi', '1Gi']), '2684354560')
  t.equal(addQuantities(['500m', '2']), '2500m')
  t.equal(addQuantities(['1', '1k', 'nonsense']), '1001')
  t.equal(addQuantities(['nonsense']), undefined)
})
