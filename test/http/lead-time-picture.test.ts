import fc from 'fast-check'
import t from 'tap'
import { medianOf } from '../../src/core/lead-times.ts'
import { DOTS_MAX, drawLeadTimes, type LeadTimeDot, type LeadTimePicture } from '../../src/http/lead-time-picture.ts'
import { contrast, darkOf, parse, pathOf } from './svg.ts'

const AT = Date.parse('2026-03-01T00:00:00Z')
const dot = (leadTimeS: number, service = 'iMessage', at = AT): LeadTimeDot => ({ service, at, leadTimeS })

function pictureOf (dots: LeadTimeDot[], rest: Partial<LeadTimePicture> = {}): LeadTimePicture {
  const medianLeadTimeS = medianOf(dots.map(({ leadTimeS }) => ({ value: leadTimeS, count: 1 })))
  return { title: 'Groundswell', year: 2026, byYear: false, dots, summary: { acknowledged: dots.length, unacknowledged: 4, missed: 3, falseAlarms: 1, medianLeadTimeS }, ...rest }
}
/** Left edge and middle of each dot of a series. */
function dotsOf (svg: string, series: string): { x: number, y: number }[] {
  return [...(pathOf(svg, 'series', series) ?? '').matchAll(/M([\d.]+) ([\d.]+)a/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }))
}
const said = (svg: string, mark: string) => [...svg.matchAll(new RegExp(`data-mark="${mark}"[^>]*>([^<]*)<`, 'g'))].map(([, text]) => text!)
const lineOf = (svg: string, mark: string) => Number(/^M([\d.]+)/.exec(pathOf(svg, 'mark', mark)!)![1])

t.test('who was first stands left of the vendor\'s word, and the longer ago the farther', async t => {
  const svg = drawLeadTimes(pictureOf([dot(60), dot(3600), dot(86_400), dot(-60), dot(-3600), dot(0)]))
  const zero = lineOf(svg, 'vendor')
  const [first, late] = [dotsOf(svg, 'first').map(({ x }) => x + 4.6), dotsOf(svg, 'late').map(({ x }) => x + 4.6)]
  t.equal(first.length, 4, 'at once with the vendor is not late')
  t.ok(first[0]! < first[1]! && first[1]! < first[2]! && first[2]! < first[3]! && Math.abs(first[3]! - zero) < 0.2)
  t.ok(late.every(x => x > zero) && late[0]! < late[1]!)
  t.ok(Math.abs((late[1]! - zero) - (zero - first[1]!)) < 0.5, 'an hour is as far to either side')
})

t.test('the median is marked, and what has no lead time stands as counts', async t => {
  const svg = drawLeadTimes(pictureOf([dot(600), dot(1200), dot(7200)]))
  t.ok(parse(svg).texts.includes('median: 20 min before'))
  t.ok(Math.abs(lineOf(svg, 'median') - dotsOf(svg, 'first')[1]!.x - 4.6) < 0.2)
  t.strictSame(said(svg, 'figure'), ['20 min', '3', '4', '3', '1'])
  t.ok(['missed by us', 'never acknowledged', 'false alarm'].every(text => parse(svg).texts.includes(text)))
  t.ok(parse(drawLeadTimes(pictureOf([dot(-600)]))).texts.includes('median: 10 min after'))
  const none = drawLeadTimes(pictureOf([]))
  t.ok(parse(none).texts.includes('No vendor has acknowledged an outage here'))
  t.equal(pathOf(none, 'mark', 'median'), undefined)
})

t.test('a row is a service, the one with most outages first, or a year, the newest first', async t => {
  t.strictSame(said(drawLeadTimes(pictureOf([dot(60, 'Slack'), dot(60, 'GitHub'), dot(90, 'GitHub')])), 'row'), ['GitHub', 'Slack'])
  t.strictSame(said(drawLeadTimes(pictureOf([dot(60), dot(60, 'iMessage', Date.parse('2024-06-01T00:00:00Z')), dot(60)], { byYear: true })), 'row'), ['2026', '2024'])
  const many = said(drawLeadTimes(pictureOf(Array.from({ length: 40 }, (_, i) => dot(60, `Service ${i}`)))), 'row')
  t.equal(many.length, 12)
  t.equal(many.at(-1), '29 others')
})

t.test('outages with the same lead time stand beside each other', async t => {
  const dots = dotsOf(drawLeadTimes(pictureOf(Array.from({ length: 5 }, () => dot(600)))), 'first')
  t.equal(new Set(dots.map(({ x, y }) => `${x} ${y}`)).size, 5)
})

t.test('text and dots stand out from the paper, in light and dark', async t => {
  const svg = drawLeadTimes(pictureOf([dot(600), dot(-600)]))
  const dark = darkOf(svg)
  const paper = /<rect width="800"[^>]*fill="(#\w+)"/.exec(svg)![1]!
  for (const { name, attributes } of parse(svg).elements) {
    const [colour, least] = name === 'text' ? [attributes['fill'], 4.5] : [attributes['data-series'] === undefined ? undefined : attributes['fill'], 3]
    if (colour === undefined) continue
    t.ok(contrast(colour, paper) >= least)
    t.ok(contrast(dark.get(colour)!, dark.get(paper)!) >= least)
  }
})

t.test('any record is well-formed XML with finite numbers inside its frame', async t => {
  const dots = fc.array(fc.record({
    service: fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.string({ unit: 'binary', maxLength: 60 })),
    at: fc.integer({ min: 0, max: 4e12 }),
    leadTimeS: fc.oneof(fc.integer({ min: -7200, max: 86_400 }), fc.integer({ min: -1e9, max: 1e9 }))
  }), { maxLength: 80 })
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), dots, fc.boolean(), (title, dots, byYear) => {
    const svg = drawLeadTimes(pictureOf(dots, { title, byYear }))
    const height = Number(/viewBox="0 0 800 (\d+)"/.exec(svg)![1])
    for (const { attributes: { x, y, d } } of parse(svg).elements) {
      const places = [...(d ?? '').matchAll(/M([^ ]+) ([^A-Za-z]+)/g)].flatMap(([, x, y]) => [x!, y!])
      for (const number of [x, y, ...places]) {
        if (number !== undefined && !(Number(number) >= 0 && Number(number) <= Math.max(800, height))) throw new Error(`${number} is outside`)
      }
    }
    return !/NaN|undefined|Infinity|null/.test(svg.replace(/>[^<]*</g, '><'))
  }), { numRuns: 200 })
  const full = drawLeadTimes(pictureOf(Array.from({ length: DOTS_MAX }, (_, i) => dot(i * 7919 % 90_000 - 9_000, `Service ${i % 50}`))))
  t.ok(full.length < 300_000, `${full.length} characters`)
})
