import type { Readable } from 'node:stream'

/**
 * Reads a stream as UTF-8 up to `limit` bytes; what is longer is cut and the stream destroyed. Listeners and no async
 * iterator: most bodies are one chunk, and the iterator costs more than all the rest.
 */
export function readText(stream: Readable, limit: number): Promise<{ text: string; cut: boolean }> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(stream.errored ?? new Error('the stream ended before its time'))
    if (stream.destroyed) return lost()
    const chunks: Buffer[] = []
    let size = 0
    const done = (cut: boolean) => resolve({ text: Buffer.concat(chunks).toString('utf8'), cut })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      if (chunk.length >= size - limit) chunks.push(chunk.subarray(0, chunk.length - (size - limit)))
      stream.destroy()
      done(true)
    })
    stream.once('end', () => done(false))
    stream.once('error', reject)
    stream.once('close', lost)
  })
}
