// Values as PostgreSQL reads them in binary (its protocol, "Formats and Format Codes"; src/backend/utils/adt, the `recv`
// function of each type): a value that many rows share is made once, and read without parsing.

/** PostgreSQL counts microseconds from 2000-01-01. */
const EPOCH_MS = 946_684_800_000
const TRUE = Buffer.from([1])
const FALSE = Buffer.from([0])

/** Encoders for one statement: smallint, integer, timestamptz (from ms since 1970) and boolean. */
export function openEncoders () {
  return { int2: remember(encodeInt2), int4: remember(encodeInt4), instant: remember(encodeInstant), flag: (value: boolean) => value ? TRUE : FALSE }
}

function encodeInt2 (value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function encodeInt4 (value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Milliseconds since 1970 as PostgreSQL's timestamptz. */
function encodeInstant (at: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(at - EPOCH_MS) * 1_000n)
  return bytes
}

/** A function that remembers what it was asked for: the reports of one statement share few values. */
export function remember<T> (compute: (key: number) => T): (key: number) => T {
  const known = new Map<number, T>()
  return key => {
    let value = known.get(key)
    if (value === undefined) known.set(key, value = compute(key))
    return value
  }
}
