// What must hold of every reader, whatever bytes a page sends: found by search over noise, and over samples with something wrong in them.
import fc from 'fast-check'
import t from 'tap'
import { FORMATS, PageError, type PageReading } from '../../../src/core/official/formats.ts'
import { OFFICIAL_STATUSES, SOURCE_FORMATS, type SourceFormat } from '../../../src/core/vocabulary.ts'
import { bytes, json, sample } from './samples.ts'

fc.configureGlobal({ seed: 20_121_118 })

const SAMPLES: Record<SourceFormat, string[]> = {
  statuspage: ['statuspage-summary.json', 'statuspage-incidents.json'],
  apple: ['apple.json', 'apple-developer.jsonp'],
  'google-cloud': ['google-cloud.json'],
  slack: ['slack.json'],
  feed: ['aws.rss', 'azure.rss', 'statuspage.atom']
}
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/

/** A reading, undefined when the page was refused; any other throw fails the property. */
function read (format: SourceFormat, body: Uint8Array): PageReading | undefined {
  try {
    return FORMATS[format].adapter(body)
  } catch (error) {
    if (error instanceof PageError) return undefined
    throw error
  }
}

function fits (text: string, max: number): boolean {
  return text.length <= max && !CONTROLS.test(text) && text.isWellFormed()
}

/** What is wrong with a reading; undefined when nothing is. */
function fault ({ incidents, names, updatedAt }: PageReading): string | undefined {
  if (incidents.length > 500 || new Set(incidents.map(({ id }) => id)).size < incidents.length) return 'too many incidents or two of one id'
  if (names.length > 1_000 || !names.every(name => name !== '' && fits(name, 200))) return 'names'
  if (updatedAt !== null && !Number.isSafeInteger(updatedAt)) return 'updatedAt'
  for (const { id, title, url, affected, words } of incidents) {
    if (id === '' || !fits(id, 900) || title === '' || !fits(title, 200)) return `id or title of ${id}`
    if (url !== null && !/^(https?:\/\/|\/?[\w-])/.test(url)) return `url ${url}`
    if (affected.length > 1_000 || !affected.every(name => name !== '' && fits(name, 200))) return `affected of ${id}`
    if (words.length < 1 || words.length > 100) return `${words.length} words of ${id}`
    if (!words.every(({ publishedAt, status, text }) => Number.isSafeInteger(publishedAt) && publishedAt >= 0 && OFFICIAL_STATUSES.includes(status) && fits(text, 500))) return `words of ${id}`
    if (words.some(({ publishedAt }, i) => i > 0 && publishedAt < words[i - 1]!.publishedAt)) return `order of ${id}`
  }
  return undefined
}

/** Reads twice: the reading must be whole, and the same. Whether there was one. */
function sound (format: SourceFormat, body: Uint8Array): boolean {
  const reading = read(format, body)
  const again = read(format, body)
  if (JSON.stringify(reading) !== JSON.stringify(again)) throw new Error('two readings of the same bytes differ')
  const wrong = reading === undefined ? undefined : fault(reading)
  if (wrong !== undefined) throw new Error(wrong)
  return reading !== undefined
}

/** Values that have hurt readers before. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1e308, '', ' ', '\u0000', '\ud800', 'a'.repeat(30_000), '<'.repeat(3_000), '&#x110000;&#0;&lt;b&gt;', '__proto__', [], {}, [[]], [null], { toString: 1 }, '2026-13-45T99:99:99Z', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z', 'javascript:alert(1)'),
  fc.jsonValue({ maxDepth: 3 }), fc.string({ unit: 'binary' })
)

/** Every place in a JSON value, as the path to it. */
function places (value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, Array.isArray(value) ? Number(key) : key]))]
}

/** A copy with something else in one place, or without that place. */
function replaced (value: unknown, path: readonly (string | number)[], by: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return by
  const copy = structuredClone(value) as Record<string | number, unknown>
  if (rest.length === 0 && by === undefined) delete copy[key]
  else copy[key] = replaced(copy[key], rest, by)
  return copy
}

for (const format of SOURCE_FORMATS) {
  t.test(`${format}: noise is read or refused, never anything else, and alike each time`, async () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), body => { sound(format, body) }), { numRuns: 300 })
    fc.assert(fc.property(fc.jsonValue(), value => { sound(format, json(value)) }), { numRuns: 300 })
    fc.assert(fc.property(fc.dictionary(fc.constantFrom('components', 'incidents', 'services', 'active_incidents', 'page', 'status'), odd), value => { sound(format, json(value)) }), { numRuns: 300 })
  })

  t.test(`${format}: a sample with bytes lost, doubled or changed is read or refused`, async () => {
    const arbitrary = fc.tuple(fc.constantFrom(...SAMPLES[format]), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(40), fc.oneof(
      fc.uint8Array({ maxLength: 20 }), fc.constantFrom('<', '>', '"', '&', ']]>', '<![CDATA[', '<!--', '<item>', '</channel>', '{', ']', ',null', '\\u0000').map(bytes)))
    fc.assert(fc.property(arbitrary, ([name, share, lost, put]) => {
      const whole = sample(name)
      const at = Math.floor(share * whole.length)
      sound(format, Buffer.concat([whole.subarray(0, at), put, whole.subarray(at + lost)]))
    }), { numRuns: 500 })
  })
}

for (const format of SOURCE_FORMATS.filter(format => format !== 'feed')) {
  t.test(`${format}: something odd in one place of a sample costs at most the entry that holds it`, async t => {
    let readings = 0
    for (const name of SAMPLES[format].filter(name => name.endsWith('.json'))) {
      const whole: unknown = JSON.parse(new TextDecoder().decode(sample(name)))
      const inner = places(whole).filter(path => path.length > 1)
      const before = FORMATS[format].adapter(json(whole)).incidents.map(({ id }) => id)
      fc.assert(fc.property(fc.constantFrom(...inner), fc.option(odd, { nil: undefined }), (path, value) => {
        if (!sound(format, json(replaced(whole, path, value)))) throw new Error(`refused for ${path.join('/')}`)
        const { incidents } = FORMATS[format].adapter(json(replaced(whole, path, value)))
        readings += 1
        return before.filter(id => !incidents.some(incident => incident.id === id)).length <= 1
      }), { numRuns: 500 })
    }
    t.ok(readings > 400)
  })
}

t.test('of more than it holds a reading keeps the newest, and of words the first as well', async t => {
  const at = (i: number) => new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString()
  const updates = Array.from({ length: 150 }, (_, i) => ({ status: 'identified', body: `${i}`, display_at: at(i) }))
  const incidents = Array.from({ length: 600 }, (_, i) => ({ id: `${i}`, name: 'x', status: 'identified', impact: 'minor', incident_updates: i === 599 ? updates : [{ display_at: at(i), body: 'x' }] }))
  const components = Array.from({ length: 1_200 }, (_, i) => ({ id: `c${i}`, name: `Part ${i}`, status: 'operational' }))
  const reading = FORMATS.statuspage.adapter(json({ incidents, components }))
  t.equal(fault(reading), undefined)
  t.strictSame([reading.incidents.length, reading.incidents[0]!.id, reading.names.length], [500, '598', 1_000])
  const { words } = FORMATS.statuspage.adapter(json({ incidents: incidents.slice(599) })).incidents[0]!
  t.strictSame([words.length, words[0]!.text, words[1]!.text, words.at(-1)!.text], [100, '0', '51', '149'])
})

t.test('a page may bring more of anything than a call takes arguments', async t => {
  const twice = { id: 'a', name: 'x', status: 'identified', impact: 'minor', incident_updates: Array.from({ length: 200_000 }, () => ({ display_at: '2026-01-01T00:00:00Z', body: 'x' })) }
  t.equal(FORMATS.statuspage.adapter(json({ incidents: [twice, twice] })).incidents[0]!.words.length, 1)
})

t.test('texts are plain, on one line and cut', async t => {
  const say = (name: string, body = 'x') => FORMATS.statuspage.adapter(json({ incidents: [{ id: 'i', name, status: 'identified', impact: 'minor', incident_updates: [{ display_at: '2026-01-01T00:00:00Z', body }] }] })).incidents[0]!
  const table: [string, string][] = [
    ['a<br>b<br/>c', 'a b c'], ['<p>a</p><p>b</p>', 'a b'], ['<b>a</b>b', 'ab'], ['<script>x</script>', 'x'], ['a &lt; b &amp;&amp; c', 'a < b && c'], ['&amp;lt;i&amp;gt;', '<i>'], ['5 < 6 > 4', '5 < 6 > 4'],
    ['a\r\n\t b', 'a b'], ['a\u0000\u001b[31m\u202eb', 'a[31mb'], ['&#x41;&#66;&#x110000;&unknown;', 'AB&unknown;'], ['\ud800x', '\ufffdx'], ['<img src="x" onerror="alert(1)">', '']
  ]
  for (const [html, text] of table) t.equal(say('x', html).words[0]!.text, text, JSON.stringify(html))
  t.equal(say('x', 'a'.repeat(501)).words[0]!.text, `${'a'.repeat(499)}…`)
  t.equal(say('x', 'a'.repeat(500)).words[0]!.text, 'a'.repeat(500))
  t.equal(say(`${'a'.repeat(198)}😀😀`).title, `${'a'.repeat(198)}…`, 'no half of a character')
})
