import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { channel, readSize, type Channels } from '@interlink-ts/interlink-api/streams'
import type { StreamStatus } from '@interlink-ts/interlink-api/wire'
import type { ContainerProcess, TerminalSize } from '../backend.ts'

/**
 * Joins a process with the channels of its caller.
 * @returns how it ended, once its output is with the caller
 */
export async function serveProcess(
  start: () => Promise<ContainerProcess>,
  channels: Channels,
  input: Readable
): Promise<StreamStatus> {
  let size: TerminalSize | undefined
  let resize = (wanted: TerminalSize): void => {
    size = wanted
  }
  channels.on('message', (id, body) => {
    const wanted = id === channel.resize ? readSize(body.toString()) : undefined
    if (wanted) resize(wanted)
  })
  const process = await start()
  resize = (wanted) => process.resize?.(wanted)
  if (size) resize(size)
  // A process may end without reading all that it is sent.
  if (process.stdin) pipeline(input, process.stdin).catch(() => input.resume())
  else input.resume()
  const [code] = await Promise.all([
    process.exit,
    pipeline(process.stdout, channels.writer(channel.stdout)),
    ...(process.stderr ? [pipeline(process.stderr, channels.writer(channel.stderr))] : [])
  ])
  if (code === 0) return { status: 'Success' }
  return {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] }
  }
}
