const newline = 0x0a

/** Splits a byte stream at newlines; whole lines only, so a last line cut off by a lost connection is dropped. */
export async function* readLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest: Buffer[] = []
  for await (const bytes of source) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line =
        rest.length > 0 ? Buffer.concat([...rest, chunk.subarray(start, end)]) : chunk.subarray(start, end)
      rest = []
      start = end + 1
      if (line.length > 0) yield line.toString('utf8')
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
}
