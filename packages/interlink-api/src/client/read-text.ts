import type { Readable } from 'node:stream'

/** Reads a stream as UTF-8 up to `limit` bytes; what is longer is cut and the stream destroyed. */
export async function readText(stream: Readable, limit: number): Promise<{ text: string; cut: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) {
      chunks.push(chunk.subarray(0, chunk.length - (size - limit)))
      stream.destroy()
      return { text: Buffer.concat(chunks).toString('utf8'), cut: true }
    }
    chunks.push(chunk)
  }
  return { text: Buffer.concat(chunks).toString('utf8'), cut: false }
}
