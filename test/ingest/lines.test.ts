import fc from 'fast-check'
import t from 'tap'
import { readLines, type Line } from '../../src/ingest/lines.ts'

async function * chunks (parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part
}

async function linesOf (parts: readonly (string | Uint8Array)[], maxBytes = 100): Promise<Line[]> {
  const lines: Line[] = []
  for await (const group of readLines(chunks(parts), maxBytes)) lines.push(...group)
  return lines
}

const texts = (...lines: string[]): Line[] => lines.map(line => ({ line }))

t.test('lines end with either end, and the last one needs none', async t => {
  const table: [string[], Line[]][] = [
    [[], []],
    [[''], []],
    [['a'], texts('a')],
    [['a\n'], texts('a')],
    [['a\r\nb\n'], texts('a', 'b')],
    [['\n\n'], texts('', '')],
    [['a\r', '\nb'], texts('a', 'b')],
    [['a', '', 'b\n', 'c'], texts('ab', 'c')],
    [['a\rb\n'], texts('a\rb')],
    [['\ufeff{}\n'], texts('{}')]
  ]
  for (const [parts, wanted] of table) t.same(await linesOf(parts), wanted, JSON.stringify(parts))
})

t.test('a line over the maximum is reported and skipped, and reading goes on', async t => {
  t.same(await linesOf(['12345\n123456\n1\n'], 5), [{ line: '12345' }, { tooLong: true }, { line: '1' }])
  t.same(await linesOf(['12345\r\n12345', '\r', '\n123456\r\n'], 5), [{ line: '12345' }, { line: '12345' }, { tooLong: true }])
  t.same(await linesOf(['123', '456', '789', '0\nok'], 5), [{ tooLong: true }, { line: 'ok' }])
  t.same(await linesOf(['1234567'], 5), [{ tooLong: true }])
})

t.test('how the bytes are cut changes nothing, not even within a character', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }).filter(text => !/[\r\n\ufeff]/.test(text))), fc.integer({ min: 1, max: 7 }), async (lines, size) => {
    const bytes = Buffer.from(lines.map(line => line + '\n').join(''))
    const parts: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size))
    t.same(await linesOf(parts, 10_000), texts(...lines))
  }), { numRuns: 50 })
})

t.test('an endless line keeps nothing in memory', async t => {
  async function * flood (): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 4096; i++) yield Buffer.alloc(64 * 1024, 0x61)
    yield Buffer.from('\nend')
  }
  const lines: Line[] = []
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for await (const group of readLines(flood(), 1000)) {
    lines.push(...group)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  t.same(lines, [{ tooLong: true }, { line: 'end' }])
  t.ok(most < 128 * 1024 * 1024, `${most} bytes`)
})
