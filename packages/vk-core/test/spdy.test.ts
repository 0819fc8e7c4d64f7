import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { once, type EventEmitter } from 'node:events'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { SpdyConnection, type SpdyOptions, type SpdyStream } from '../src/streams/spdy/index.ts'
import { encodeFrame, FrameParser, type Frame } from '../src/streams/spdy/frames.ts'
import { decodeHeaders, encodeHeaders, HeaderCodec, type Headers } from '../src/streams/spdy/header-block.ts'

/** Two sockets that are one wire. */
async function wire(t: Test): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  for (const socket of [near, far]) {
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
  }
  return [near, far]
}

async function pair(
  t: Test,
  options: SpdyOptions = {}
): Promise<{ client: SpdyConnection; server: SpdyConnection }> {
  const [near, far] = await wire(t)
  return {
    client: new SpdyConnection(near, { role: 'client' }),
    server: new SpdyConnection(far, options)
  }
}

/** A server whose peer speaks bytes. */
async function rawPeer(t: Test, options: SpdyOptions = {}) {
  const [near, far] = await wire(t)
  const server = new SpdyConnection(far, options)
  const frames: Frame[] = []
  const parser = new FrameParser()
  near.on('data', (chunk: Buffer) => frames.push(...parser.push(chunk)))
  const seen = async (wanted: (frame: Frame) => boolean): Promise<Frame> => {
    for (const end = Date.now() + 90_000; Date.now() < end;) {
      const found = frames.find(wanted)
      if (found) return found
      await delay(5)
    }
    throw new Error(`not seen; there were ${JSON.stringify(frames)}`)
  }
  return {
    server,
    socket: near,
    frames,
    seen,
    send: (frame: Parameters<typeof encodeFrame>[0]) => encodeFrame(frame).forEach((part) => near.write(part))
  }
}

/** All that comes, with the other way left open. */
const all = (stream: SpdyStream): Promise<Buffer> =>
  new Promise((resolve) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part)).once('end', () => resolve(Buffer.concat(parts)))
  })

const opened = async (connection: SpdyConnection): Promise<SpdyStream> => {
  const [stream] = await once(connection, 'stream')
  return stream as SpdyStream
}

const open = (codec: HeaderCodec, streamId: number) =>
  codec.write({ streamtype: 'data' }).then(
    (block) =>
      ({
        type: 'synStream',
        streamId,
        associatedId: 0,
        priority: 0,
        fin: false,
        unidirectional: false,
        block
      }) as const
  )

/** Every kind, with every flag that means something. */
const everyFrame: readonly Exclude<Frame, { type: 'unknown' }>[] = [
  { type: 'data', streamId: 1, fin: false, data: Buffer.from('bytes') },
  { type: 'data', streamId: 0x7fffffff, fin: true, data: Buffer.alloc(0) },
  {
    type: 'synStream',
    streamId: 3,
    associatedId: 1,
    priority: 7,
    fin: true,
    unidirectional: true,
    block: Buffer.from('block')
  },
  { type: 'synReply', streamId: 3, fin: false, block: Buffer.from('b') },
  { type: 'rstStream', streamId: 3, status: 5 },
  { type: 'settings' },
  { type: 'ping', id: 0xffffffff },
  { type: 'goAway', lastStreamId: 9, status: 1 },
  { type: 'headers', streamId: 3, fin: true, block: Buffer.from('more') },
  { type: 'windowUpdate', streamId: 3, delta: 65_536 }
]

/** Data that came in parts is one frame again. */
const joined = (frames: readonly Frame[]): Frame[] =>
  frames.reduce<Frame[]>((all, frame) => {
    const before = all.at(-1)
    if (frame.type !== 'data' || before?.type !== 'data' || before.streamId !== frame.streamId || before.fin)
      return [...all, frame]
    return [...all.slice(0, -1), { ...frame, data: Buffer.concat([before.data, frame.data]) }]
  }, [])

t.test('every frame is read as it was written, however the bytes are cut', (t) => {
  const bytes = Buffer.concat(everyFrame.flatMap(encodeFrame))
  for (let size = 1; size <= bytes.length; size++) {
    const parser = new FrameParser()
    const frames: Frame[] = []
    for (let at = 0; at < bytes.length; at += size) frames.push(...parser.push(bytes.subarray(at, at + size)))
    t.same(joined(frames), everyFrame, `in pieces of ${size}`)
  }
  t.end()
})

t.test('the bytes of a frame are those of the draft', (t) => {
  const hex = (frame: Parameters<typeof encodeFrame>[0]) => Buffer.concat(encodeFrame(frame)).toString('hex')
  t.equal(hex({ type: 'ping', id: 1 }), '800300060000000400000001')
  t.equal(hex({ type: 'rstStream', streamId: 2, status: 5 }), '80030003000000080000000200000005')
  t.equal(hex({ type: 'data', streamId: 5, fin: true, data: Buffer.from('hi') }), '00000005010000026869')
  t.end()
})

t.test('a long frame of data is not held until it is whole', (t) => {
  const [head = Buffer.alloc(0)] = encodeFrame({
    type: 'data',
    streamId: 1,
    fin: true,
    data: Buffer.alloc(1_000_000)
  })
  const parser = new FrameParser()
  const [first] = [...parser.push(Buffer.concat([head, Buffer.alloc(1000)]))]
  t.match(first, { type: 'data', fin: false })
  const rest = [...parser.push(Buffer.alloc(999_000))]
  t.match(rest, [{ type: 'data', fin: true }])
  t.end()
})

t.test('control frames that are too long, of another version or too short are refused', (t) => {
  const refused = (hex: string) =>
    t.throws(() => [...new FrameParser(1000).push(Buffer.from(hex, 'hex'))], { name: 'SpdyError' })
  refused('8003000600ffffff')
  refused('80020006000000040000')
  refused('800300060000000100')
  refused('8003000300000004deadbeef')
  t.same(
    [...new FrameParser().push(Buffer.from('800300630000000100', 'hex'))],
    [{ type: 'unknown', code: 0x63 }]
  )
  t.end()
})

// By zlib of another language: zlib.compressobj(zdict=…), Z_SYNC_FLUSH, of {streamtype: error}, then {port: 80, requestid: 0}.
const foreign = [
  '78f9e3c6a7c202a62346703a2b294a4dcc851625aca9a08006000000ffff',
  '02651c48d15c044ac64c16064092b308129199a004ce6800000000ffff'
]

t.test('header blocks that another program has compressed are read one after the other', async (t) => {
  const codec = new HeaderCodec()
  t.teardown(() => codec.close())
  t.same(await codec.read(Buffer.from(foreign[0]!, 'hex')), { streamtype: 'error' })
  t.same(await codec.read(Buffer.from(foreign[1]!, 'hex')), { port: '80', requestid: '0' })
  const [writer, reader] = [new HeaderCodec(), new HeaderCodec()]
  for (const headers of [
    {},
    { a: '' },
    { 'x-large': 'ä\0b'.repeat(20_000) },
    { a: '1', b: '2' }
  ] as Headers[])
    t.same(await reader.read(await writer.write(headers)), headers)
  for (const one of [writer, reader]) one.close()
  await t.rejects(reader.read(Buffer.alloc(1)), { name: 'SpdyError' })
})

t.test('header blocks that are broken or blow up are refused', async (t) => {
  for (const bytes of ['00000001', '0000000100000004', '000000010000000000000000', '0000000000'])
    t.throws(() => decodeHeaders(Buffer.from(bytes, 'hex')), { name: 'SpdyError' })
  const twice = encodeHeaders({ a: '1', b: '2' })
  twice[twice.length - 6] = 0x61
  t.throws(() => decodeHeaders(twice), /stands twice/)
  const [writer, reader] = [new HeaderCodec(), new HeaderCodec(100_000)]
  t.teardown(() => [writer, reader].forEach((codec) => codec.close()))
  await t.rejects(reader.read(await writer.write({ bomb: '0'.repeat(10_000_000) })), /more than 100000 bytes/)
  const garbage = new HeaderCodec()
  await t.rejects(garbage.read(randomBytes(50)), { name: 'SpdyError' })
  garbage.close()
})

t.test('a stream carries bytes both ways, and each way has its own end', async (t) => {
  const { client, server } = await pair(t)
  const near = client.open({ StreamType: 'stdin' })
  const far = await opened(server)
  t.same(far.headers, { streamtype: 'stdin' })
  await near.opened
  const sent = randomBytes(3_000_000)
  near.end(sent)
  t.ok((await all(far)).equals(sent))
  t.equal(near.readableEnded, false, 'a half-close leaves the other way open')
  far.end('answer')
  t.equal(String(await all(near)), 'answer')
  t.equal(client.size + server.size, 0)
})

t.test('a reader that is behind makes its writer wait, and nothing is held without bounds', async (t) => {
  const { client, server } = await pair(t)
  const near = client.open({})
  const far = await opened(server)
  let taken = 0
  for (let turn = 0; turn < 400; turn++) {
    near.write(Buffer.alloc(100_000), () => (taken += 100_000))
  }
  await delay(200)
  const held = taken
  t.ok(held < 30_000_000, `${held} bytes taken of 40 MB that nobody reads`)
  near.end()
  t.equal((await all(far)).length, 40_000_000)
})

t.test('windows are taken and mean nothing; what the draft does not know is passed over', async (t) => {
  const { server, socket, send, seen } = await rawPeer(t)
  const codec = new HeaderCodec()
  t.teardown(() => codec.close())
  server.on('stream', (stream) => stream.end(Buffer.alloc(300_000)))
  send({ type: 'settings' })
  send({ type: 'windowUpdate', streamId: 1, delta: 1 })
  socket.write(Buffer.from('8003006300000001ff', 'hex'))
  send(await open(codec, 1))
  await seen((frame) => frame.type === 'synReply' && frame.streamId === 1)
  await seen((frame) => frame.type === 'data' && frame.fin)
})

t.test('a ping is answered, and one that is asked is waited for', async (t) => {
  const { client, server } = await pair(t)
  await client.ping()
  await server.ping()
  client.destroy()
  await t.rejects(client.ping(), /closed/)
})

t.test('a reset ends one stream and no other', async (t) => {
  const { client, server } = await pair(t)
  const one = client.open({})
  const farOne = await opened(server)
  const two = client.open({})
  const farTwo = await opened(server)
  one.destroy()
  await once(farOne, 'close')
  two.end('still here')
  t.equal(String(await all(farTwo)), 'still here')
  farTwo.destroy(new Error('away'))
  const [error] = (await once(two, 'error')) as [Error]
  t.match(error.message, /reset the stream with status 6/)
})

t.test('after GOAWAY streams end as they would and new ones are refused', async (t) => {
  const { client, server } = await pair(t)
  const near = client.open({})
  const far = await opened(server)
  const closed = once(server, 'close')
  server.goAway()
  await server.ping()
  t.throws(() => client.open({}), /no more streams/)
  near.end('last words')
  t.equal(String(await all(far)), 'last words')
  far.end()
  t.same(await closed, [undefined])
})

t.test('a stream that raced with GOAWAY, or is one too many, is refused', async (t) => {
  const { server, send, seen } = await rawPeer(t, { maxStreams: 1 })
  const codec = new HeaderCodec()
  t.teardown(() => codec.close())
  send(await open(codec, 1))
  const far = await opened(server)
  send(await open(codec, 3))
  t.match(await seen((frame) => frame.type === 'rstStream'), { streamId: 3, status: 3 })
  server.goAway()
  send(await open(codec, 5))
  t.match(await seen((frame) => frame.type === 'rstStream' && frame.streamId === 5), { status: 3 })
  far.destroy()
  await seen((frame) => frame.type === 'goAway')
})

t.test('who breaks the rules is told GOAWAY and cut off', async (t) => {
  for (const bytes of ['8003000600ffffff', '80030001000000040000', '47455420']) {
    const { server, socket, seen } = await rawPeer(t)
    const closed = once(server, 'close')
    socket.write(Buffer.from(`${bytes}${'00'.repeat(20)}`, 'hex'))
    if (bytes.startsWith('47')) socket.end()
    const [error] = await closed
    if (error) t.match(await seen((frame) => frame.type === 'goAway'), { status: 1 })
  }
  const { server, send } = await rawPeer(t)
  const codec = new HeaderCodec()
  t.teardown(() => codec.close())
  const closed = once(server, 'close')
  send(await open(codec, 3))
  send(await open(codec, 3))
  t.match(await closed, [{ message: /the number 3/ }])
})

t.test('a connection that is cut ends its streams', async (t) => {
  const [near, far] = await wire(t)
  const client = new SpdyConnection(near, { role: 'client' })
  const server = new SpdyConnection(far)
  const stream = client.open({})
  const other = await opened(server)
  const closed = (emitter: SpdyStream | SpdyConnection) =>
    new Promise((resolve) => (emitter as EventEmitter).once('close', resolve))
  const ends = Promise.all([stream, other, server].map(closed))
  near.destroy()
  await ends
  t.equal(server.size + client.size, 0)
})

t.test('random and mutated frames never bring anything down', async (t) => {
  const valid = Buffer.concat(everyFrame.flatMap(encodeFrame))
  let seed = 7
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below
  for (let round = 0; round < 300; round++) {
    const [near, far] = await wire(t)
    const server = new SpdyConnection(far)
    server.on('stream', (stream) => stream.pipe(stream))
    const codec = new HeaderCodec()
    const bytes = Buffer.concat([
      ...encodeFrame(await open(codec, 1)),
      ...(round % 3 === 0 ? [randomBytes(random(400))] : [Buffer.from(valid)])
    ])
    codec.close()
    for (let change = random(6); change > 0; change--) bytes[random(bytes.length)] = random(256)
    const closed = once(server, 'close')
    near.resume()
    near.end(bytes)
    await closed
    t.equal(server.size, 0)
    near.destroy()
  }
})
