import { readdirSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { InterlinkError } from '../src/errors.ts'
import {
  decode,
  decodeCreate,
  decodeStatuses,
  encodeCreate,
  encodeCreateAnswer,
  encodeLog,
  encodePod,
  encodeRetrieved,
  encodeStatuses,
  encodeStatusRequest,
  messages,
  parseJson,
  PodRef,
  type MessageName
} from '../src/wire/index.ts'

const folder = new URL('../../../test/wire/', import.meta.url)

interface Vector {
  readonly about: string
  readonly message: string
  readonly wire: unknown
  readonly decoded?: unknown
  readonly encoder?: string
  readonly encoded?: unknown
  readonly error?: { code: string; field: string; expected?: string; found?: string }
  readonly secret?: string
}

const decoders: Readonly<Record<string, (json: unknown) => unknown>> = {
  StatusAnswer: decodeStatuses,
  DeleteRequest: (json) => decode(PodRef, json),
  ...Object.fromEntries(
    (Object.keys(messages) as MessageName[]).map((name) => [name, (json: unknown) => decode(name, json)])
  )
}

const encoders: Readonly<Record<string, (message: never) => unknown>> = {
  create: encodeCreate,
  'create-answer': encodeCreateAnswer,
  retrieved: (message) => encodeRetrieved(message),
  'retrieved-array': (message) => encodeRetrieved(message, 'array'),
  'status-request': encodeStatusRequest,
  statuses: encodeStatuses,
  pod: encodePod,
  log: encodeLog
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  const vector = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Vector
  const decoder = decoders[vector.message]!
  t.test(`${file}: ${vector.about}`, async (t) => {
    if (vector.error) {
      const error = caught(() => decoder(vector.wire))
      t.ok(error instanceof InterlinkError)
      const { code, ...details } = vector.error
      t.match(error, { code, details })
      t.match((error as Error).message, vector.error.field)
      if (vector.secret)
        t.notMatch(
          JSON.stringify([(error as Error).message, (error as InterlinkError).details]),
          vector.secret
        )
      return
    }
    const before = structuredClone(vector.wire)
    t.strictSame(decoder(vector.wire), vector.decoded)
    t.strictSame(vector.wire, before, 'the input is left as it was')
    if (!vector.encoder) return
    const encoded = JSON.parse(JSON.stringify(encoders[vector.encoder]!(vector.decoded as never)))
    t.strictSame(encoded, vector.encoded)
    t.strictSame(decoder(encoded), decoder(vector.encoded), 'what is written is read again')
  })
}

t.test('the two bodies of /create are told apart, in an array too', async (t) => {
  const pod = { metadata: { uid: 'u' }, spec: { containers: [{ name: 'c' }] } }
  t.equal(decodeCreate({ pod }).kind, 'requests')
  t.equal(decodeCreate([{ pod }]).kind, 'requests')
  t.equal(decodeCreate({ pod, container: null }).kind, 'retrieved')
  t.equal(decodeCreate([{ pod, container: [] }]).kind, 'retrieved')
})

t.test('malformed JSON is told without a word of it', async (t) => {
  for (const text of ['{"token": hunter2}', 'hunter2', '{"a":"hunter2"', '']) {
    const error = caught(() => parseJson(text)) as InterlinkError
    t.equal(error.code, 'IL_MALFORMED_JSON')
    t.notMatch(error.message, 'hunter2')
    t.equal(error.cause, undefined)
  }
})

t.test('a key __proto__ and nesting without end harm nobody', async (t) => {
  const pod = decode(
    'Pod',
    JSON.parse(
      '{"metadata":{"__proto__":{"uid":"x"},"constructor":"y"},"spec":{"containers":[{"name":"c"}]}}'
    )
  )
  t.equal(pod.metadata.uid, undefined)
  t.equal(Object.getPrototypeOf(pod.metadata), Object.prototype)
  const deep = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)
  t.match(
    caught(() => decode('Pod', deep)),
    { code: 'IL_INVALID_MESSAGE' }
  )
})

t.test('whatever is sent, the decoder answers with a message or with its own error', async (t) => {
  const random = mulberry(20260714)
  const seeds = readdirSync(folder).map(
    (name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')).wire as unknown
  )
  const secret = 'hunter2'
  let refused = 0
  for (let round = 0; round < 4000; round++) {
    const json = mutate(structuredClone(seeds[Math.floor(random() * seeds.length)]), random, secret)
    for (const name of Object.keys(messages) as MessageName[]) {
      try {
        const message = decode(name, json)
        if (!isDeepStrictEqual(decode(name, JSON.parse(JSON.stringify(message))), message))
          return t.fail(`${name} is read differently the second time: ${JSON.stringify(json)}`)
      } catch (error) {
        refused++
        if (!(error instanceof InterlinkError) || error.code !== 'IL_INVALID_MESSAGE')
          return t.fail(`${name}: ${String(error)} for ${JSON.stringify(json)}`)
        if (error.message.includes(secret)) return t.fail(`a value is quoted: ${error.message}`)
      }
    }
  }
  t.ok(refused > 1000)
})

/** Replaces, removes or adds something somewhere. */
function mutate(value: unknown, random: () => number, secret: string): unknown {
  const strange = [
    null,
    secret,
    0,
    -1.5,
    1e300,
    true,
    [],
    {},
    [null],
    { [`k${random()}`]: secret },
    '',
    [[secret]]
  ]
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  if (typeof value !== 'object' || value === null || random() < 0.1) return pick(strange)
  const container = value as Record<string, unknown>
  const keys = Object.keys(container)
  if (keys.length === 0 || random() < 0.1) {
    if (Array.isArray(value)) value.push(pick(strange))
    else
      container[pick(['name', 'UID', 'uid', 'type', 'spec', 'constructor', 'toString', 'x'])] = pick(strange)
    return value
  }
  const key = pick(keys)
  container[key] = mutate(container[key], random, secret)
  return value
}

function mulberry(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296
  }
}

function caught(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return undefined
}
