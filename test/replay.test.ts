import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { Command } from 'commander'
import fc from 'fast-check'
import t from 'tap'
import { Fault } from '../src/core/faults.ts'
import { registerReplay, replay, type Source } from '../src/replay.ts'
import type { Said } from '../src/replayed.ts'

const START = Date.parse('2026-03-02T10:00:00Z')
const at = (i: number, widthS = 60): string => new Date(START + i * widthS * 1000).toISOString().replace('.000Z', 'Z')

type Row = Record<string, unknown>
const row = (i: number, down: number, more: Row = {}): Row => ({ service: 'imessage', start: at(i), down, ...more })
/** Ten quiet hours, half an hour in which many say it fails, and five hours of calm. */
const outage = (service = 'imessage'): Row[] => [
  row(0, 1, { service }), ...Array.from({ length: 30 }, (_, i) => row(600 + i, 5, { service, device_class: 'iphone' })), row(930, 0, { service })
]
const ndjson = (rows: readonly Row[]): string => rows.map(each => JSON.stringify(each) + '\n').join('')
const source = (text: string | Buffer, name = 'rows.ndjson'): Source => ({ name, bytes: Readable.from([Buffer.from(text)]) })

function sink (): { stream: Writable, text: () => string } {
  let text = ''
  const stream = new Writable({
    highWaterMark: 64,
    write (chunk: Buffer, _, done) {
      text += chunk.toString()
      setImmediate(done)
    }
  })
  return { stream, text: () => text }
}

async function run (...sources: Source[]): Promise<{ out: string, err: string, said: Said[], pictures: Map<string, string> }> {
  const [out, err] = [sink(), sink()]
  const pictures = new Map<string, string>()
  await replay(sources, { out: out.stream, err: err.stream, pictures: async (service, svg) => { pictures.set(service, svg) } })
  for (const { stream } of [out, err]) await once(stream.end(), 'finish')
  return { out: out.text(), err: err.text(), said: out.text().split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Said), pictures }
}

t.test('says each transition in a line, and ends with the last row', async t => {
  const { said, err } = await run(source(ndjson(outage())))
  t.same(said.map(({ state }) => state), ['suspected', 'confirmed', 'recovering', 'resolved'])
  t.same(Object.keys(said[0]!), ['service', 'outage', 'at', 'state', 'scope', 'onset_at', 'severity', 'score'])
  t.match(said[0], { service: 'imessage', outage: 'imessage-1', scope: { region: '*' }, onset_at: '2026-03-02T20:00:00Z' })
  t.match(said[0]!.at, /^2026-03-02T20:0\d:00Z$/)
  t.match(err, /service +windows +outages +confirmed +first suspected +peak +longest\nimessage +931 +1 +1 +2026-03-02T20:0\d:00Z +×\d+\.\d +\d/)
  const unfinished = await run(source(ndjson(outage().slice(0, -1))))
  t.same(unfinished.said.map(({ state }) => state), ['suspected', 'confirmed'])
})

t.test('NDJSON and CSV, gzipped or not, cut anywhere, say the same', async t => {
  const rows = [...outage().slice(0, 20), { service: 'imessage', start: at(620), end: at(625), gap: true }, ...outage().slice(26)]
  const wanted = (await run(source(ndjson(rows)))).out
  const columns = ['service', 'start', 'down', 'device_class', 'end', 'gap']
  const csv = [columns.join(','), ...rows.map((each: Row) => columns.map(column => each[column] ?? '').join(','))].join('\r\n')
  t.equal((await run(source(csv, 'rows.csv'))).out, wanted)
  t.equal((await run(source(gzipSync(csv)))).out, wanted)
  t.equal((await run(source(gzipSync(ndjson(rows))))).out, wanted)
  t.equal((await run(source('\ufeff\n\n' + ndjson(rows)))).out, wanted)
  const bytes = gzipSync(ndjson(rows))
  const bitwise: Source = { name: 'bits', bytes: Readable.from([...bytes].map(byte => Buffer.of(byte))) }
  t.equal((await run(bitwise)).out, wanted)
  t.ok(wanted.length > 100)
})

t.test('missing windows are zeros', async t => {
  const rows = outage()
  const full = Array.from({ length: 931 }, (_, i) => rows.find(({ start }) => start === at(i)) ?? row(i, 0))
  t.equal((await run(source(ndjson(full)))).out, (await run(source(ndjson(rows)))).out)
})

t.test('services do not touch each other, whether interleaved or in files of their own', async t => {
  const a = outage('a')
  const b = outage('b')
  const mixed = await run(source(ndjson(a.flatMap((each, i) => [each, b[i]!]))))
  const apart = await run(source(ndjson(a), 'a'), source(ndjson(b), 'b'))
  const of = (said: Said[], service: string): Said[] => said.filter(each => each.service === service)
  for (const service of ['a', 'b']) t.same(of(mixed.said, service), of(apart.said, service))
  t.equal(mixed.err, apart.err)
  t.ok(of(mixed.said, 'b').length > 0)
})

t.test('a service may go on in the next file', async t => {
  const rows = outage()
  const two = await run(source(ndjson(rows.slice(0, 9))), source(ndjson(rows.slice(9))))
  t.equal(two.out, (await run(source(ndjson(rows)))).out)
})

t.test('the cells of one window add up', async t => {
  const cells = outage().flatMap(each => each.down === 5
    ? [{ ...each, down: 2, region: 'CA-ON' }, { ...each, down: 3, region: 'GB', networks: 3 }]
    : [each])
  t.equal((await run(source(ndjson(cells)))).out, (await run(source(ndjson(outage())))).out)
})

t.test('wide windows may start anywhere, and anew after a hole', async t => {
  const wide = (start: string, down: number): Row => ({ service: 'aws', start, width_s: 900, down })
  const rows = [
    wide('2020-11-25T12:15:14Z', 1), wide('2020-11-25T13:30:14Z', 8), wide('2020-11-25T13:45:14Z', 60),
    { service: 'aws', start: '2020-11-25T14:00:14Z', end: '2020-11-27T09:07:00Z', gap: true },
    wide('2020-11-27T09:07:00Z', 0), wide('2020-11-27T09:22:00Z', 0)
  ]
  const { said, err } = await run(source(ndjson(rows)))
  t.equal(said[0]?.at, '2020-11-25T14:00:14Z')
  // 7 windows, 172 whole ones of the gap, 2 after it.
  t.match(err, /\naws +181 /)
})

t.test('an alarm that was withheld live is withheld here', async t => {
  const rows = outage()
  const said = (await run(source(ndjson(rows)))).said
  const scopes = ['*|*', { region: '*', device_class: 'iphone' }, '*|unknown', 'ZZ|*', 'ZZ|iphone', 'ZZ|unknown']
  // While the evidence lasts, so also in silent minutes.
  const withheld = Array.from({ length: 331 }, (_, i) => ({ service: 'imessage', start: at(600 + i), withheld: scopes }))
  const both = [...rows, ...withheld].sort((a: Row, b: Row) => String(a.start) < String(b.start) ? -1 : String(a.start) > String(b.start) ? 1 : 0)
  t.same((await run(source(ndjson(both)))).said, [])
  const onlyOne = rows.flatMap(each => each.down === 5 ? [each, { service: 'imessage', start: each.start, withheld: ['*|iphone'] }] : [each])
  t.equal((await run(source(ndjson(onlyOne)))).said[0]?.scope.device_class, '*')
  t.equal(said[0]?.scope.region, '*')
})

t.test('a row that cannot be judged is named by file and line', async t => {
  const table: [string, Row[] | string, RegExp][] = [
    ['an unknown member', [row(0, 1), row(1, 1, { dwon: 2 })], /line 2: unknown member "dwon"/],
    ['not JSON', '{"service":"a"\n', /line 1: not JSON/],
    ['no count', [{ service: 'a', start: at(0) }], /line 1: down/],
    ['a count below nothing', [row(0, -1)], /line 1: down/],
    ['half a person', [row(0, 0.5)], /line 1: down/],
    ['not a slug', [row(0, 1, { service: 'i Message' })], /line 1: service/],
    ['not a time', [row(0, 1, { start: 'yesterday' })], /line 1: start: must be an RFC 3339 time/],
    ['not a region', [row(0, 1, { region: 'XX' })], /line 1: region/],
    ['not a divisor of an hour', [row(0, 1, { width_s: 420 })], /line 1: width_s: must be a divisor of an hour/],
    ['a second width', [row(0, 1), row(9, 1, { width_s: 900 })], /line 2: width_s 900/],
    ['backwards', [row(5, 1), row(4, 1)], /line 2: starts at 2026-03-02T10:04:00Z, before 2026-03-02T10:06:00Z/],
    ['overlap', [row(0, 1, { width_s: 900 }), row(1, 1, { width_s: 900 })], /line 2: starts/],
    ['the same cell twice', [row(0, 1), row(0, 1)], /line 2: a second row of ZZ\|unknown/],
    ['a row in a gap', [row(0, 1), { service: 'imessage', start: at(1), end: at(9), gap: true }, row(4, 1)], /line 3: starts/],
    ['a gap over a row', [row(0, 1), { service: 'imessage', start: at(0), end: at(9), gap: true }], /line 2: the gap starts/],
    ['a gap that ends before it starts', [row(0, 1), { service: 'imessage', start: at(9), end: at(9), gap: true }], /line 2: a gap must end/],
    ['withheld before anything', [{ service: 'imessage', start: at(0), withheld: ['*|*'] }], /line 1: nothing can be withheld/],
    ['a slip in the year', [row(0, 1), row(0, 1, { start: '2062-03-02T10:00:00Z' })], /line 2: more than \d+ windows/],
    ['an endless line', '{' + ' '.repeat(70_000) + '}', /line 1: longer than/],
    ['a CSV column nobody knows', 'service,start,dwon\na,2026-01-01T00:00:00Z,1\n', /line 2: .*unknown member "dwon"/],
    ['a ragged CSV', 'service,start,down\na,2026-01-01T00:00:00Z\n', /rows\.ndjson: Invalid Record Length/]
  ]
  for (const [what, rows, message] of table) {
    await t.rejects(run(source(typeof rows === 'string' ? rows : ndjson(rows))), { name: 'Fault', code: 'invalid', message }, what)
  }
  await t.rejects(run(source(gzipSync(ndjson(outage())).subarray(0, 60))), Fault, 'a gzip cut short')
})

t.test('what was said before the bad line stays said', async t => {
  const out = sink()
  await t.rejects(replay([source(ndjson(outage()) + 'oops\n')], { out: out.stream, err: sink().stream }), /line 33/)
  t.match(out.text(), /"state":"resolved"/)
})

t.test('an empty file says nothing', async t => {
  t.equal((await run(source(''))).out, '')
})

t.test('any rows in order give the same lines twice', async () => {
  const rows = fc.array(fc.record({ skip: fc.integer({ min: 1, max: 90 }), down: fc.nat(30), working: fc.nat(9) }), { maxLength: 60 })
  await fc.assert(fc.asyncProperty(rows, async steps => {
    let i = 0
    const text = ndjson(steps.map(({ skip, down, working }) => {
      i += skip
      return row(i, down, { working })
    }))
    return (await run(source(text))).out === (await run(source(gzipSync(text)))).out
  }), { numRuns: 15 })
})

t.test('each service\'s curve is drawn in at most 2,000 points', async t => {
  const rows = [row(0, 1), ...outage().slice(1), row(9000, 0)]
  const { pictures } = await run(source(ndjson([...rows, row(0, 3, { service: 'other' })])))
  t.same([...pictures.keys()], ['imessage', 'other'])
  for (const svg of pictures.values()) t.match(svg, /^(<\?xml[^>]*>\s*)?<svg/)
})

t.test('the command says what it takes', async t => {
  const program = new Command()
  registerReplay(program)
  const help = program.commands[0]!.helpInformation()
  t.match(help, /replay \[options\] <files\.\.\.>/)
  t.match(help, /--svg <dir>/)
})
