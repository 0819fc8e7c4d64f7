import t, { type Test } from 'tap'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { createInterlinkClient } from '../src/client/index.ts'

/** The masking key of the first frame that comes, RFC 6455 5.2. */
async function firstMask(t: Test, listen: string | number): Promise<{ isMasked: boolean; key: Buffer }> {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  server.listen(listen)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url =
    typeof listen === 'string'
      ? `unix://${listen}`
      : `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createInterlinkClient({ url })
  t.teardown(() => client.close())
  const came = once(sockets, 'connection').then(async ([, request]) => {
    const [bytes] = (await once((request as IncomingMessage).socket, 'data')) as [Buffer]
    return { isMasked: (bytes[1]! & 0x80) !== 0, key: bytes.subarray(2, 6) }
  })
  const command = ['true']
  const session = await client.stream('u', {
    ...{ kind: 'exec', container: 'c', command, stdin: false, tty: false }
  })
  t.teardown(() => session.destroy())
  return came
}

t.test('what is sent is masked by chance where others may look, and by zeroes where none can', async (t) => {
  const [one, other] = [await firstMask(t, 0), await firstMask(t, 0)]
  t.ok(one.isMasked)
  t.notOk(one.key.equals(other.key))
  const alone = await firstMask(t, join(t.testdir({}), 'socket'))
  t.ok(alone.isMasked, 'a server may insist')
  t.same([...alone.key], [0, 0, 0, 0])
})
