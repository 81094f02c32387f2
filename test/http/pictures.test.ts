import fc from 'fast-check'
import t from 'tap'
import { drawCurve, type CurvePicture, type PictureOutage, type PicturePoint } from '../../src/http/pictures.ts'
import { barsOf, contrast, darkOf, parse, pathOf } from './svg.ts'

const FROM = Date.parse('2012-11-18T19:00:00Z')
const MINUTE = 60_000
const SVG_MAX = 300_000

function pointAt (index: number, counts: Partial<PicturePoint> = {}, windowS = 60): PicturePoint {
  return { start: FROM + index * windowS * 1000, working: 0, degraded: 0, down: 0, expectedDown: null, upperDown: null, complete: true, gap: false, ...counts }
}

function pictureOf (points: PicturePoint[], rest: Partial<CurvePicture> = {}): CurvePicture {
  return { title: 'iMessage', scope: 'everywhere, all devices', windowS: 60, from: FROM, to: FROM + Math.max(points.length, 1) * MINUTE, points, outages: [], acknowledgements: [], ...rest }
}

t.test('bars are as high as their counts, and a degraded report stands half as high on top', async t => {
  const svg = drawCurve(pictureOf([pointAt(0, { down: 10 }), pointAt(1, { down: 40, degraded: 20 }), pointAt(2), pointAt(3, { down: 20 })]))
  const [ten, forty, twenty, ...others] = barsOf(pathOf(svg, 'series', 'down')).map(({ height }) => height)
  t.strictSame(others, [], 'silence has no bar')
  t.ok(Math.abs(forty! / ten! - 4) < 0.02 && Math.abs(twenty! / ten! - 2) < 0.02)
  const degraded = barsOf(pathOf(svg, 'series', 'degraded'))
  t.equal(degraded.length, 1)
  t.ok(Math.abs(degraded[0]!.height / ten! - 1) < 0.02, 'twenty degraded weigh as ten down')
})

t.test('the count axis begins at zero, has even round numbers and holds the highest bar', async t => {
  for (const down of [0, 1, 7, 47, 1056, 99_999, 12_345_678]) {
    const svg = drawCurve(pictureOf([pointAt(0, { down })]))
    const ticks = [...svg.matchAll(/data-axis="count"[^>]*>([^<]+)</g)].map(([, text]) => Number(text!.replace(/,/g, '').replace('m', 'e6')))
    t.ok(ticks.length >= 4 && ticks.length <= 7, `${down}: ${ticks.join(' ')}`)
    t.equal(ticks[0], 0, 'from zero')
    const step = ticks[1]!
    t.ok(ticks.every((tick, index) => Math.abs(tick - index * step) < step / 1000), 'even')
    t.match(step.toExponential(), /^(1|2|2\.5|5)e/)
    t.ok(ticks.at(-1)! >= down)
  }
})

t.test('the time axis has round UTC times and names the day that begins', async t => {
  const day = pictureOf([], { from: Date.parse('2020-11-25T12:15:00Z'), to: Date.parse('2020-11-26T12:00:00Z') })
  const read = (axis: string): string[] => [...drawCurve(day).matchAll(new RegExp(`data-axis="${axis}"[^>]*>([^<]+)<`, 'g'))].map(([, text]) => text!)
  t.strictSame(read('time'), ['15:00', '18:00', '21:00', '00:00', '03:00', '06:00', '09:00', '12:00'])
  t.strictSame(read('context'), ['Wed 25 Nov', 'Thu 26 Nov'])
})

t.test('what nobody watched is hatched, neighbours as one, and breaks the lines', async t => {
  const known = { expectedDown: 2, upperDown: 6 }
  const points = [pointAt(0, known), pointAt(1, { ...known, gap: true }), pointAt(2, { gap: true }), pointAt(3, known), pointAt(4, { gap: true })]
  const svg = drawCurve(pictureOf(points))
  const gaps = barsOf(pathOf(svg, 'mark', 'gap'))
  t.equal(gaps.length, 2)
  t.ok(Math.abs((gaps[0]!.right - gaps[0]!.left) / (gaps[1]!.right - gaps[1]!.left) - 2) < 0.01)
  t.equal(pathOf(svg, 'series', 'expected')!.match(/M/g)!.length, 2)
  t.ok(parse(svg).texts.some(text => text.includes('Not watched: 3 of 5 windows.')))
  t.notOk(drawCurve(pictureOf([pointAt(0)])).includes('not watched'), 'a full watch has no such key')
})

t.test('an unknown baseline leaves a hole', async t => {
  const svg = drawCurve(pictureOf([null, 3.5, 3.5, null, 4, null].map((expectedDown, index) => pointAt(index, { expectedDown, down: 2 }))))
  t.equal(pathOf(svg, 'series', 'expected')!.match(/M/g)!.length, 2)
  t.equal(pathOf(svg, 'series', 'upper'), undefined)
  t.equal(pathOf(drawCurve(pictureOf([pointAt(0, { down: 2 })])), 'series', 'expected'), undefined)
})

t.test('the window still open is hatched and not among the closed ones', async t => {
  const svg = drawCurve(pictureOf([pointAt(0, { down: 8 }), pointAt(1, { down: 4, degraded: 2, complete: false })]))
  t.equal(barsOf(pathOf(svg, 'series', 'down')).length, 1)
  t.equal(barsOf(pathOf(svg, 'series', 'open')).length, 1)
  t.ok(parse(svg).texts.includes('window still open'))
})

t.test('an outage is suspected from its onset, confirmed later, marked where it was flagged, and open to the edge', async t => {
  const outage: PictureOutage = { from: FROM + 10 * MINUTE, suspectedAt: FROM + 15 * MINUTE, confirmedAt: FROM + 20 * MINUTE, to: null, state: 'confirmed' }
  const points = Array.from({ length: 60 }, (_, index) => pointAt(index, { down: index }))
  const bandOf = (svg: string, name: string) => barsOf(new RegExp(`data-band="${name}"><path d="([^"]+)"`).exec(svg)?.[1])
  const svg = drawCurve(pictureOf(points, { outages: [outage] }))
  const [suspected, confirmed] = [bandOf(svg, 'suspected')[0]!, bandOf(svg, 'confirmed')[0]!]
  t.equal(suspected.right, confirmed.left)
  t.ok(Math.abs((confirmed.right - confirmed.left) / (suspected.right - suspected.left) - 4) < 0.02, 'forty minutes against ten')
  const pole = Number(/^M([\d.]+)/.exec(pathOf(svg, 'mark', 'flagged')!)![1])
  t.ok(Math.abs(pole - (suspected.left + suspected.right) / 2) < 0.2)
  t.ok(parse(svg).texts.includes('flagged 19:15'))
  const dismissed = drawCurve(pictureOf(points, { outages: [{ ...outage, to: FROM + 30 * MINUTE, state: 'dismissed' }] }))
  t.equal(bandOf(dismissed, 'dismissed').length, 1)
  t.equal(bandOf(dismissed, 'confirmed').length, 0, 'a dismissed outage is no outage')
})

t.test('title and description say what is to be seen, whatever the names hold', async t => {
  const title = 'Mail & "Chat" <script>alert(1)</script> \u0000\ud800'
  const svg = drawCurve(pictureOf([pointAt(0, { down: 3, expectedDown: 3 }), pointAt(1, { down: 76, degraded: 4, expectedDown: 3 })], {
    title, acknowledgements: [{ at: FROM + MINUTE, source: '<b>' }]
  }))
  const { elements, texts } = parse(svg)
  t.notOk(elements.some(({ name }) => name === 'script' || name === 'b'))
  t.ok(texts[0]!.startsWith('Mail & "Chat" <script>'))
  t.match(texts[1], /76 down and 4 degraded, from 18 November 2012, 19:01 UTC, 26 times the usual; usual there: 3\./)
  t.equal(elements[0]!.attributes['role'], 'img')
  t.match(elements[0]!.attributes['viewBox'], /^0 0 \d+ \d+$/)
  t.notMatch(svg.replace('xmlns="http://www.w3.org/2000/svg"', ''), /https?:|href|@import|url\((?!#)/, 'nothing is loaded')
})

t.test('silence, no windows and nobody watching are three different things', async t => {
  const says = (points: PicturePoint[]): string[] => parse(drawCurve(pictureOf(points))).texts
  t.ok(says([]).includes('There are no windows in this period'))
  t.ok(says([pointAt(0)]).includes('Nobody reported a failure in this period'))
  t.ok(says([pointAt(0, { gap: true })]).includes('Nobody watched in this period'))
})

t.test('text and marks stand out from the paper, in light and dark', async t => {
  const svg = drawCurve(pictureOf([pointAt(0, { down: 9, degraded: 3, working: 5, expectedDown: 2, upperDown: 5 })], {
    outages: [{ from: FROM, suspectedAt: FROM, confirmedAt: FROM + 30_000, to: null, state: 'confirmed' }], acknowledgements: [{ at: FROM, source: 'Apple' }]
  }))
  const dark = darkOf(svg)
  const paper = /<rect width="800"[^>]*fill="(#\w+)"/.exec(svg)![1]!
  for (const { name, attributes } of parse(svg).elements) {
    const [colour, least] = name === 'text' ? [attributes['fill'], 4.5] : [/down|degraded/.test(attributes['data-series'] ?? '') ? attributes['fill'] : undefined, 3]
    if (colour === undefined) continue
    t.ok(contrast(colour, paper) >= least, `${colour} in light`)
    t.ok(contrast(dark.get(colour)!, dark.get(paper)!) >= least, `${dark.get(colour)} in dark`)
  }
})

t.test('two thousand busy windows stay below 300 KB', async t => {
  const points = Array.from({ length: 2000 }, (_, index) => pointAt(index, {
    down: index * 7919 % 9_999_991, degraded: index * 104_729 % 999_983, working: index * 1299 % 9973, expectedDown: 1e6 + index * 31_337 % 100_003, upperDown: 2e6 + index * 7 % 1009 * 999
  }))
  const svg = drawCurve(pictureOf(points))
  t.ok(svg.length < SVG_MAX, `${svg.length} characters`)
  t.ok(parse(svg).elements.length < 200, 'a path for each series, not an element for each window')
})

t.test('any picture is well-formed XML with finite numbers inside its frame', async () => {
  const count = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 10_000_000 }))
  const bound = fc.option(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e7, noNaN: true })))
  const point = fc.record({ working: count, degraded: count, down: count, expectedDown: bound, upperDown: bound, complete: fc.boolean(), gap: fc.boolean() })
  const picture = fc.record({
    title: fc.string({ unit: 'binary', maxLength: 300 }),
    scope: fc.string({ unit: 'binary', maxLength: 300 }),
    windowS: fc.constantFrom(1, 7, 60, 300, 900, 3600, 86_400, 604_800),
    from: fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }),
    points: fc.array(point, { maxLength: 80 }),
    beyond: fc.integer({ min: 0, max: 500 }),
    moments: fc.array(fc.tuple(fc.integer({ min: -50, max: 600 }), fc.nat(40), fc.option(fc.nat(40)), fc.option(fc.nat(400)),
      fc.constantFrom('suspected', 'confirmed', 'recovering', 'resolved', 'dismissed')), { maxLength: 12 })
  }).map(({ title, scope, windowS, from, points, beyond, moments }): CurvePicture => {
    const at = (index: number): number => from.getTime() + index * windowS * 1000
    return {
      title,
      scope,
      windowS,
      from: at(0),
      to: at(points.length + beyond),
      points: points.map((point, index) => ({ ...point, start: at(index) })),
      outages: moments.map(([onset, suspected, confirmed, end, state]) => ({
        from: at(onset), suspectedAt: at(onset + suspected), confirmedAt: confirmed === null ? null : at(onset + suspected + confirmed), to: end === null ? null : at(onset + suspected + (confirmed ?? 0) + end), state
      })),
      acknowledgements: moments.slice(0, 4).map(([onset, later]) => ({ at: at(onset + later), source: scope }))
    }
  })
  fc.assert(fc.property(picture, picture => {
    const svg = drawCurve(picture)
    const { elements } = parse(svg)
    for (const { attributes: { x, y, d } } of elements) {
      for (const number of [x, y, ...(d?.match(/-?[\d.eE]+|NaN|Infinity/g) ?? [])]) {
        if (number !== undefined && !(Number(number) >= 0 && Number(number) <= 800)) throw new Error(`${number} is outside`)
      }
    }
    const drawn = svg.replace(/>[^<]*</g, '><')
    return !/NaN|undefined|Infinity|null/.test(drawn) && svg.length < SVG_MAX
  }), { numRuns: 300 })
})
