/** One line of text, or the news that one was longer than allowed; both count as lines. */
export type Line = { line: string, tooLong?: never } | { line?: never, tooLong: true }

const NEWLINE = 0x0a
const RETURN = 0x0d

/**
 * A byte stream as UTF-8 lines, those that one chunk of it ends together (never none): handing over each by itself costs
 * as much as reading it. Lines are ended by `\n` or `\r\n`; a last line without an end counts, an empty one after the last
 * end does not. A line of more than `maxBytes` (its end not counted) is reported, skipped and never held: memory stays
 * flat whatever is sent. A byte order mark is dropped.
 */
export async function * readLines (stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line[], void, undefined> {
  let held: Buffer[] = []
  let heldBytes = 0
  const end = (last: Buffer): Line => {
    const parts = held
    const bytes = heldBytes + last.length
    held = []
    heldBytes = 0
    // One byte more than allowed may yet be the return of a line's end.
    if (bytes > maxBytes + 1) return { tooLong: true }
    const whole = parts.length === 0 ? last : Buffer.concat([...parts, last])
    const length = whole.at(-1) === RETURN ? whole.length - 1 : whole.length
    return length > maxBytes ? { tooLong: true } : { line: textOf(whole.subarray(0, length)) }
  }
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const lines: Line[] = []
    let from = 0
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
      lines.push(end(bytes.subarray(from, at)))
      from = at + 1
    }
    if (from < bytes.length) {
      heldBytes += bytes.length - from
      // Once too long, only the length is kept.
      if (heldBytes > maxBytes + 1) held = []
      else held.push(bytes.subarray(from))
    }
    if (lines.length > 0) yield lines
  }
  if (heldBytes > 0) yield [end(Buffer.alloc(0))]
}

function textOf (bytes: Buffer): string {
  const text = bytes.toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}
