import t from 'tap'
import { FORMATS, PageError, saidAt } from '../../../src/core/official/formats.ts'
import { SOURCE_FORMATS } from '../../../src/core/vocabulary.ts'
import { bytes, sample } from './samples.ts'

t.test('a word was said as published or when first seen, and where times may be back-dated never before we last saw the page without it', async t => {
  const cases: { publishedAt: number, seenAt: number, lastWithoutAt: number | null, backdates: boolean, said: number, why: string }[] = [
    { publishedAt: 100, seenAt: 160, lastWithoutAt: 90, backdates: false, said: 100, why: 'as published' },
    { publishedAt: 100, seenAt: 160, lastWithoutAt: 90, backdates: true, said: 100, why: 'as published: the page was last without it before' },
    { publishedAt: 40, seenAt: 160, lastWithoutAt: 90, backdates: true, said: 90, why: 'back-dated: at 90 it was not there' },
    { publishedAt: 40, seenAt: 160, lastWithoutAt: 90, backdates: false, said: 40, why: 'its machine dates it: we saw an old copy at 90' },
    { publishedAt: 40, seenAt: 160, lastWithoutAt: null, backdates: true, said: 40, why: 'never seen before: there is only its own word' },
    { publishedAt: 200, seenAt: 160, lastWithoutAt: 90, backdates: true, said: 160, why: 'of the future: we have seen it already' },
    { publishedAt: 200, seenAt: 160, lastWithoutAt: 90, backdates: false, said: 160, why: 'of the future, by its machine' },
    { publishedAt: 40, seenAt: 160, lastWithoutAt: 170, backdates: true, said: 160, why: 'never later than seen' },
    { publishedAt: 160, seenAt: 160, lastWithoutAt: 160, backdates: true, said: 160, why: 'all at once' }
  ]
  for (const { publishedAt, seenAt, lastWithoutAt, backdates, said, why } of cases) t.equal(saidAt(publishedAt, seenAt, lastWithoutAt, backdates), said, why)
})

t.test('every format has a reader, and only Apple\'s times may be back-dated', async t => {
  t.strictSame(Object.keys(FORMATS).sort(), [...SOURCE_FORMATS].sort())
  t.strictSame(SOURCE_FORMATS.filter(format => FORMATS[format].backdates), ['apple'])
})

const SAMPLES = {
  statuspage: ['statuspage-summary.json', 'statuspage-incidents.json'],
  apple: ['apple.json', 'apple-developer.jsonp'],
  'google-cloud': ['google-cloud.json'],
  slack: ['slack.json'],
  feed: ['aws.rss', 'azure.rss', 'statuspage.atom']
}

t.test('a page of another format is refused, and the refusal says what was expected', async t => {
  for (const format of SOURCE_FORMATS) {
    for (const other of SOURCE_FORMATS.filter(other => other !== format)) {
      for (const name of SAMPLES[other]) t.throws(() => FORMATS[format].adapter(sample(name)), PageError, `${name} as ${format}`)
    }
    for (const body of ['', ' ', 'null', '{}', '[1]', '"x"', '<!doctype html><title>Down for maintenance</title>', '{"error":"rate limited"}', '\u0000\u0001']) {
      t.throws(() => FORMATS[format].adapter(bytes(body)), PageError, `${JSON.stringify(body)} as ${format}`)
    }
  }
  t.throws(() => FORMATS.statuspage.adapter(bytes('<html>\n<b>no</b>')), { message: 'Expected a Statuspage v2 document with "incidents" or "components", found a text that begins "<html> <b>no</b>".' })
  t.throws(() => FORMATS.apple.adapter(bytes('{"services":{}}')), { message: 'Expected Apple\'s system status with "services", found "services" as an object with 0 other members.' })
})

t.test('a page that was cut off on its way is refused', async t => {
  for (const format of SOURCE_FORMATS) {
    for (const name of SAMPLES[format]) {
      const whole = sample(name)
      for (const share of [0.2, 0.5, 0.9]) t.throws(() => FORMATS[format].adapter(whole.subarray(0, Math.floor(whole.length * share))), PageError, `${name}, ${share}`)
    }
  }
})

t.test('a byte order mark and line ends of any kind change nothing', async t => {
  for (const format of SOURCE_FORMATS) {
    for (const name of SAMPLES[format]) {
      const text = new TextDecoder().decode(sample(name))
      t.strictSame(FORMATS[format].adapter(bytes(`\ufeff${text.replaceAll('\n', '\r\n')}\r\n`)), FORMATS[format].adapter(bytes(text)), name)
    }
  }
})
