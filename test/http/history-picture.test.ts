import fc from 'fast-check'
import t from 'tap'
import { monthsWithin, tellHistory, type OutageSpan } from '../../src/core/history.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { drawHistory, type HistoryPicture } from '../../src/http/history-picture.ts'
import { barsOf, contrast, darkOf, parse, pathOf } from './svg.ts'

const FROM = Date.parse('2025-01-01T00:00:00Z')
const TO = Date.parse('2026-07-01T00:00:00Z')

/** A picture of these outages, each month of which was watched by this share. */
function pictureOf (outages: OutageSpan[], share: (index: number) => number = () => 1, rest: Partial<HistoryPicture> = {}): HistoryPicture {
  const { from = FROM, to = TO } = rest
  const watched = monthsWithin({ from, to }).map((month, index) => ({ ...month, watchedMs: share(index) * (month.to - month.from) }))
  return { title: 'iMessage', from, to, ...tellHistory(outages, watched), ...rest }
}
const outage = (onset: string, hours: number): OutageSpan => ({ onsetAt: Date.parse(onset), resolvedAt: Date.parse(onset) + hours * HOUR_MS })
const said = (svg: string, mark: string) => [...svg.matchAll(new RegExp(`data-mark="${mark}"[^>]*>([^<]*)<`, 'g'))].map(([, text]) => text!)

t.test('bars are as high as the time that a month\'s outages lasted, with how many began', async t => {
  const svg = drawHistory(pictureOf([outage('2025-02-03T00:00:00Z', 4), outage('2025-02-05T00:00:00Z', 4), outage('2025-11-05T00:00:00Z', 2)]))
  const [eight, two, ...others] = barsOf(pathOf(svg, 'series', 'outages'))
  t.strictSame(others, [], 'a month without one has no bar')
  t.ok(Math.abs(eight!.height / two!.height - 4) < 0.05)
  t.strictSame(said(svg, 'count'), ['2', '1'])
  t.ok(parse(svg).texts.includes('Hours a month in which people reported that it fails'))
  const short = drawHistory(pictureOf([outage('2025-02-03T00:00:00Z', 0.5), outage('2025-11-03T00:00:00Z', 0.001)]))
  t.ok(parse(short).texts.includes('Minutes a month in which people reported that it fails'), 'what lasted minutes is told in minutes')
  t.ok(barsOf(pathOf(short, 'series', 'outages')).every(({ height }) => height >= 2), 'none is too short to be seen')
})

t.test('the years are summed up, and each held against the one before', async t => {
  const svg = drawHistory(pictureOf([outage('2025-02-03T00:00:00Z', 4), outage('2025-03-05T00:00:00Z', 4), outage('2026-02-05T00:00:00Z', 2)]))
  t.strictSame([said(svg, 'count-of-year'), said(svg, 'sum-of-year'), said(svg, 'change')], [['2 outages', '1 outage'], ['8 h', '2 h'], ['6 h less than in 2025']])
  const unseen = drawHistory(pictureOf([outage('2026-02-05T00:00:00Z', 2)], index => index < 12 ? 0 : 1))
  t.strictSame([said(unseen, 'count-of-year'), said(unseen, 'change')], [['not watched', '1 outage'], []], 'a year that nobody watched is no measure')
  const years = [...drawHistory(pictureOf([outage('2020-02-05T00:00:00Z', 2)], () => 1, { from: Date.parse('2016-12-01T00:00:00Z') })).matchAll(/data-axis="year"[^>]*>([^<]*)</g)].map(([, text]) => text)
  t.strictSame(years, ['2017', '2018', '2019', '2020', '2021', '2022', '2023', '2024', '2025', '2026'], 'ten years have room for their names, a month of one has not')
})

t.test('what nobody watched is hatched by its share of the month, and is not calm', async t => {
  const svg = drawHistory(pictureOf([outage('2025-06-03T00:00:00Z', 4)], index => [0, 0.5, 1 - 1e-5][index] ?? 1))
  const [whole, half, ...others] = barsOf(pathOf(svg, 'mark', 'gap'))
  t.strictSame(others, [], 'a restart of seconds is no hole')
  t.ok(Math.abs(whole!.height / half!.height - 2) < 0.02)
  t.match(parse(svg).texts[1], /Not watched: 1 of 18 months\. Watched in part: 1 of 18 months\./)
  const full = drawHistory(pictureOf([]))
  t.ok(parse(full).texts.includes('No outage was seen') && !full.includes('data-mark="gap"'))
  const blank = drawHistory(pictureOf([], () => 0))
  t.ok(parse(blank).texts.includes('not watched') && !blank.includes('No outage was seen'))
  t.ok(parse(blank).texts.some(text => text.endsWith('nobody watched')))
})

t.test('a month that is not whole is hatched like a window still open', async t => {
  const svg = drawHistory(pictureOf([outage('2025-02-03T00:00:00Z', 4), outage('2026-06-03T00:00:00Z', 4)], () => 1, { to: TO - DAY_MS }))
  t.equal(barsOf(pathOf(svg, 'series', 'outages')).length, 1)
  t.equal(barsOf(pathOf(svg, 'series', 'open')).length, 1)
  t.ok(parse(svg).texts.includes('month not whole'))
})

t.test('text and bars stand out from the paper, in light and dark', async t => {
  const svg = drawHistory(pictureOf([outage('2025-02-03T00:00:00Z', 4)], index => index % 2))
  const dark = darkOf(svg)
  const paper = /<rect width="800"[^>]*fill="(#\w+)"/.exec(svg)![1]!
  for (const { name, attributes } of parse(svg).elements) {
    const [colour, least] = name === 'text' ? [attributes['fill'], 4.5] : [attributes['data-series'] === 'outages' ? attributes['fill'] : undefined, 3]
    if (colour === undefined) continue
    t.ok(contrast(colour, paper) >= least)
    t.ok(contrast(dark.get(colour)!, dark.get(paper)!) >= least)
  }
})

t.test('any history is well-formed XML with finite numbers inside its frame', async () => {
  const minute = fc.integer({ min: 0, max: 5_300_000 }).map(minutes => Date.parse('2016-01-01T00:00:00Z') + minutes * MINUTE_MS)
  const picture = fc.record({
    title: fc.string({ unit: 'binary', maxLength: 200 }),
    from: minute,
    minutes: fc.integer({ min: 1, max: 5_259_000 }),
    outages: fc.array(fc.tuple(minute, fc.option(fc.integer({ min: 0, max: 90_000 }))), { maxLength: 40 }),
    shares: fc.array(fc.constantFrom(0, 0.2, 0.9999, 1), { minLength: 1, maxLength: 9 })
  })
  fc.assert(fc.property(picture, ({ title, from, minutes, outages, shares }) => {
    const svg = drawHistory(pictureOf(outages.map(([onsetAt, length]) => ({ onsetAt, resolvedAt: length === null ? null : onsetAt + length * MINUTE_MS })),
      index => shares[index % shares.length]!, { title, from, to: from + minutes * MINUTE_MS }))
    for (const { attributes: { x, y, d } } of parse(svg).elements) {
      for (const number of [x, y, ...(d?.match(/-?[\d.eE]+|NaN|Infinity/g) ?? [])]) {
        if (number !== undefined && !(Number(number) >= 0 && Number(number) <= 800)) throw new Error(`${number} is outside`)
      }
    }
    return !/NaN|undefined|Infinity|null/.test(svg.replace(/>[^<]*</g, '><')) && svg.length < 100_000
  }), { numRuns: 200 })
})
