/**
 * Reads what kubectl's typed commands send. Answers are always JSON, which they accept as well.
 * Sources: the protobuf encoding guide; "Kubernetes Protobuf encoding" of the API concepts.
 */
import { badRequest } from '../errors.ts'
import type { Json } from '../object.ts'
import { shapeName, shapeOf, type Field, type Shape } from './shape.ts'

const magic = Buffer.from('k8s\0')

/** The JSON of a protobuf body of a request. */
export function fromProtobuf(body: Buffer): Json {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest('the body is not Kubernetes protobuf')
  let type: Json = {}
  let raw: Buffer = Buffer.alloc(0)
  for (const { number, bytes } of entries(body.subarray(4)))
    if (number === 1) type = strings(bytes!, ['', 'apiVersion', 'kind'])
    else if (number === 2) raw = bytes!
  const group = String(type.apiVersion ?? '').split('/')[0]!
  const shape = shapeOf(shapeName(group, String(type.kind)))
  if (!shape)
    throw badRequest(`no kind "${String(type.kind)}" is known in version "${String(type.apiVersion)}"`)
  return { ...type, ...message(shape, raw) }
}

interface Entry {
  readonly number: number
  readonly bytes?: Buffer
  readonly value?: bigint
  readonly double?: number
}

function* entries(data: Buffer): Generator<Entry> {
  let offset = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[offset++]
      if (byte === undefined || shift > 63n) throw badRequest('the protobuf of the body is cut short')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const take = (length: number): Buffer => {
    if (offset + length > data.length) throw badRequest('the protobuf of the body is cut short')
    return data.subarray(offset, (offset += length))
  }
  while (offset < data.length) {
    const tag = Number(varint())
    const number = tag >> 3
    switch (tag & 7) {
      case 0:
        yield { number, value: varint() }
        break
      case 1:
        yield { number, double: take(8).readDoubleLE() }
        break
      case 2:
        yield { number, bytes: take(Number(varint())) }
        break
      case 5:
        take(4)
        break
      default:
        throw badRequest(`the protobuf of the body has a field of wire type ${tag & 7}`)
    }
  }
}

function message(shape: Shape, data: Buffer): Json {
  const result: Json = {}
  for (const entry of entries(data)) {
    const field = shape.numbered.get(entry.number)
    if (!field) continue
    if (field.name === '*') {
      Object.assign(result, message(shapeOf(field.type)!, entry.bytes!))
      continue
    }
    if (field.many === 'map') {
      const [key, value] = mapEntry(field, entry.bytes!)
      ;((result[field.name] ??= {}) as Json)[key] = value
      continue
    }
    const value = single(field, entry)
    if (field.many === 'list') ((result[field.name] ??= []) as unknown[]).push(value)
    else if (field.pointer || !isZero(value)) result[field.name] = value
  }
  return result
}

function mapEntry(field: Field, data: Buffer): [string, unknown] {
  let key = ''
  let value: unknown = field.type === 's' || field.type === 'y' ? '' : {}
  for (const entry of entries(data))
    if (entry.number === 1) key = entry.bytes!.toString()
    else value = single(field, entry)
  return [key, value]
}

function single(field: Field, { bytes, value, double }: Entry): unknown {
  switch (field.type) {
    case 's':
      return bytes!.toString()
    case 'y':
      return bytes!.toString('base64')
    case 'b':
      return value === 1n
    case 'i':
      return Number(BigInt.asIntN(64, value!))
    case 'n':
      return double
    case 'q':
      return strings(bytes!, ['', 'text']).text ?? '0'
    case 't':
    case 'T':
      return time(bytes!, field.type === 'T')
    case 'x':
      return intOrString(bytes!)
    case 'j':
      return undefined
    default:
      return message(shapeOf(field.type)!, bytes!)
  }
}

const strings = (data: Buffer, names: readonly string[]): Json =>
  Object.fromEntries(
    [...entries(data)]
      .filter(({ number, bytes }) => names[number] && bytes)
      .map(({ number, bytes }) => [names[number]!, bytes!.toString()])
  )

function time(data: Buffer, micro: boolean): string | undefined {
  const [, seconds, nanos] = numbers(data)
  if (seconds === undefined) return undefined
  const iso = new Date(Number(seconds) * 1000).toISOString()
  return micro
    ? iso.replace(/\.\d+Z$/, `.${String(Number(nanos ?? 0n) / 1000).padStart(6, '0')}Z`)
    : iso.replace(/\.\d+Z$/, 'Z')
}

function intOrString(data: Buffer): number | string {
  const [, type, number] = numbers(data)
  return type === 1n
    ? String([...entries(data)].find((entry) => entry.number === 3)?.bytes?.toString() ?? '')
    : Number(BigInt.asIntN(64, number ?? 0n))
}

const numbers = (data: Buffer): (bigint | undefined)[] => {
  const found: (bigint | undefined)[] = []
  for (const { number, value } of entries(data)) found[number] = value
  return found
}

/** What Go leaves out of JSON: protobuf carries the zero of everything that is no pointer. */
const isZero = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
