// Lead times as a standalone SVG document: a dot for each outage on a signed axis whose zero is the vendor's word.
// Words are in axes.ts, colours and text in shapes.ts; what a lead time is, and the median, are core's.
import { medianOf, type LeadTimeSummary } from '../core/lead-times.ts'
import { clipText, countWords, durationWords, textWidth } from './axes.ts'
import { darkStyle, escapeXml, fill, FONTS, round, stroke, write, type Box, type Colour } from './shapes.ts'

/** Outages in one picture at most: the newest. */
export const DOTS_MAX = 2_000

/** An acknowledged outage; `at` ms since the epoch, `leadTimeS` positive when we were first. */
export interface LeadTimeDot { service: string, at: number, leadTimeS: number }

export interface LeadTimePicture {
  title: string
  /** Null: all years. */
  year: number | null
  /** A row a year, for one service; else a row a service. */
  byYear: boolean
  summary: LeadTimeSummary
  dots: readonly LeadTimeDot[]
}

const WIDTH = 800
const MARGIN = 20
const LEFT = 176
const RIGHT = WIDTH - MARGIN - 10
const TOP = 196
/** Rows of their own; further services share one. */
const ROWS_MAX = 12
/** All rows together are about this high, each within these bounds, px. */
const ROWS_HEIGHT = 260
const ROW_HEIGHT = { min: 28, max: 84 }
/** Of a dot, px; many are smaller, so that they find room beside each other. */
const RADIUS = { few: 4.6, many: 3 }
const MANY = 150
/** The axis is about even up to here, s, and logarithmic beyond: minutes and days are both seen. */
const EVEN_UP_TO_S = 300
/** It reaches at least so far to both sides, s. */
const REACH_MIN_S = 900
/** Where ticks may stand, s, the more welcome first. */
const TICKS_S = [0, 3600, 86_400, 900, 6 * 3600, 300, 7 * 86_400, 3 * 3600, 60, 30 * 86_400, 3 * 86_400, 1800, 12 * 3600, 365 * 86_400]
const TICK_GAP = 50
const BOLD = 1.1

interface Row { name: string, dots: LeadTimeDot[], box: Box }
interface Frame { picture: LeadTimePicture, rows: Row[], radius: number, height: number, bottom: number, x: (leadTimeS: number) => number, ticks: { at: number, words: string }[] }

/** Lead times as a standalone SVG, readable in light and dark; left of the zero we were first. */
export function drawLeadTimes (picture: LeadTimePicture): string {
  const frame = layOut(picture)
  const parts = [drawHead(picture), drawRows(frame), ...picture.dots.length === 0 ? [drawNothing(frame)] : [drawAxis(frame), drawMedian(frame), drawDots(frame)], drawFoot(frame)]
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gsw" viewBox="0 0 ${WIDTH} ${frame.height}" role="img" font-family="${FONTS}" font-size="13">` +
    `<title>${escapeXml(`${picture.title}: lead times`)}</title><desc>${escapeXml(describeLeadTimes(picture))}</desc>` +
    `<style>${darkStyle()}</style><rect width="${WIDTH}" height="${frame.height}" ${fill('paper')}/>${parts.join('')}</svg>\n`
}

function layOut (picture: LeadTimePicture): Frame {
  const groups = groupDots(picture)
  const rowHeight = Math.min(Math.max(ROWS_HEIGHT / Math.max(groups.length, 1), ROW_HEIGHT.min), ROW_HEIGHT.max)
  const rows = groups.map((group, index) => ({ ...group, box: { top: TOP + index * rowHeight, bottom: TOP + (index + 1) * rowHeight } }))
  const bottom = TOP + Math.max(groups.length, 1) * rowHeight
  const { dots, summary: { medianLeadTimeS } } = picture
  const leads = dots.map(({ leadTimeS }) => leadTimeS).concat(medianLeadTimeS ?? [])
  const [from, to] = [leads.reduce((most, lead) => Math.max(most, lead), REACH_MIN_S), leads.reduce((least, lead) => Math.min(least, lead), -REACH_MIN_S)].map(stretch)
  // Some air, so that no dot stands on the edge.
  const air = (from! - to!) * 0.03
  const x = (leadTimeS: number): number => LEFT + (from! + air - stretch(leadTimeS)) / (from! - to! + 2 * air) * (RIGHT - LEFT)
  return { picture, rows, bottom, radius: dots.length > MANY ? RADIUS.many : RADIUS.few, height: Math.round(bottom) + 84, x, ticks: placeTicks(x) }
}

/** Signed, even near zero and logarithmic far from it. */
function stretch (seconds: number): number {
  return Math.sign(seconds) * Math.log1p(Math.abs(seconds) / EVEN_UP_TO_S)
}

function placeTicks (x: (leadTimeS: number) => number): Frame['ticks'] {
  const ticks: Frame['ticks'] = []
  for (const seconds of TICKS_S) {
    for (const lead of seconds === 0 ? [0] : [seconds, -seconds]) {
      const at = x(lead)
      if (at < LEFT || at > RIGHT || ticks.some(tick => Math.abs(tick.at - at) < TICK_GAP)) continue
      ticks.push({ at, words: lead === 0 ? '0' : seconds === 86_400 ? '1 day' : seconds === 3600 ? '1 h' : durationWords(seconds) })
    }
  }
  return ticks
}

/** Rows from above: the newest year, or the service with most dots, first. */
function groupDots ({ dots, byYear }: LeadTimePicture): Omit<Row, 'box'>[] {
  const groups = new Map<string, LeadTimeDot[]>()
  for (const dot of dots) {
    const name = byYear ? String(new Date(dot.at).getUTCFullYear()) : dot.service
    groups.set(name, [...groups.get(name) ?? [], dot])
  }
  const sorted = [...groups].map(([name, dots]) => ({ name, dots }))
    .sort((a, b) => byYear ? Number(b.name) - Number(a.name) : b.dots.length - a.dots.length || (a.name < b.name ? -1 : 1))
  if (sorted.length <= ROWS_MAX) return sorted
  const others = sorted.slice(ROWS_MAX - 1)
  return [...sorted.slice(0, ROWS_MAX - 1), { name: byYear ? 'before' : `${others.length} others`, dots: others.flatMap(({ dots }) => dots) }]
}

function drawHead (picture: LeadTimePicture): string {
  const { title, year, summary } = picture
  const room = WIDTH - 2 * MARGIN
  const size = textWidth(title, 23 * BOLD) <= room ? 23 : 17
  const { medianLeadTimeS: median, acknowledged, unacknowledged, missed, falseAlarms } = summary
  const figures: [string, string, Colour][] = [
    [median === null ? '–' : leadWords(median), median === null || median >= 0 ? 'median lead time' : 'median, after the vendor', 'ink'],
    [countWords(acknowledged), 'acknowledged', 'ink'],
    [countWords(unacknowledged), 'never acknowledged', 'ink'],
    [countWords(missed), 'missed by us', 'confirmed'],
    [countWords(falseAlarms), falseAlarms === 1 ? 'false alarm' : 'false alarms', 'confirmed']
  ]
  return write(MARGIN, 36, clipText(title, size * BOLD, room), 'ink', `font-size="${size}" font-weight="700"`) +
    write(MARGIN, 59, 'How long before the vendor’s word people’s reports had shown an outage', 'ink', 'font-size="15"') +
    write(MARGIN, 79, year === null ? 'All years' : `Outages of ${year}`, 'muted') +
    figures.map(([figure, caption, colour], index) => {
      const x = MARGIN + [0, 186, 322, 500, 640][index]!
      return write(x, 118, figure, colour, 'data-mark="figure" font-size="22" font-weight="700"') + write(x, 137, caption, 'muted', 'font-size="12.5"')
    }).join('')
}

/** How long before, or after, the vendor: the sign is told beside it. */
function leadWords (seconds: number): string {
  return seconds === 0 ? '0 s' : durationWords(Math.abs(seconds))
}

function drawRows ({ rows, bottom }: Frame): string {
  const lines = [...rows.map(({ box }) => box.top), bottom]
  return `<path d="${lines.map(y => `M${MARGIN} ${round(y)}H${RIGHT}`).join('')}" fill="none" ${stroke('grid')}/>` +
    rows.map(({ name, dots, box }) => {
      const y = (box.top + box.bottom) / 2 + 4.5
      const count = countWords(dots.length)
      return write(MARGIN, y, clipText(name, 13, LEFT - MARGIN - 24 - textWidth(count, 12.5)), 'ink', 'data-mark="row"') +
        write(LEFT - 14, y, count, 'muted', 'text-anchor="end" font-size="12.5"')
    }).join('')
}

function drawAxis ({ bottom, x, ticks }: Frame): string {
  const zero = x(0)
  const vendor = 'the vendor’s word'
  const half = textWidth(vendor, 12.5 * BOLD) / 2
  const first = ['← we were first', '← us first', '←'].find(text => zero - half - 24 - LEFT > textWidth(text, 12.5))
  const late = ['the vendor was first →', 'vendor first →', '→'].find(text => RIGHT - zero - half - 24 > textWidth(text, 12.5))
  const at = Math.min(Math.max(zero, LEFT + half), RIGHT - half)
  return `<path d="${ticks.map(({ at }) => `M${round(at)} ${TOP}V${round(bottom)}`).join('')}" fill="none" ${stroke('grid')}/>` +
    `<path data-mark="vendor" d="M${round(zero)} ${TOP - 10}V${round(bottom)}" fill="none" ${stroke('vendor')} stroke-width="1.8"/>` +
    ticks.map(({ at, words }) => write(at, bottom + 18, words, 'muted', 'data-axis="lead" text-anchor="middle" font-size="12.5"')).join('') +
    write(at, TOP - 16, vendor, 'vendor', 'text-anchor="middle" font-size="12.5" font-weight="600"') +
    (first === undefined ? '' : write(LEFT, TOP - 16, first, 'down', 'font-size="12.5" font-weight="600"')) +
    (late === undefined ? '' : write(RIGHT, TOP - 16, late, 'confirmed', 'text-anchor="end" font-size="12.5" font-weight="600"'))
}

function drawNothing ({ bottom }: Frame): string {
  return write(WIDTH / 2, (TOP + bottom) / 2 + 5, 'No vendor has acknowledged an outage here', 'muted', 'text-anchor="middle" font-size="15"')
}

function drawDots ({ rows, radius, x }: Frame): string {
  const placed = rows.flatMap(({ dots, box }) => swarm(dots.map(({ leadTimeS }) => ({ x: x(leadTimeS), first: leadTimeS >= 0 })), box, radius))
  const path = (series: string, colour: Colour, first: boolean): string => {
    const d = placed.filter(dot => dot.first === first).map(({ x, y }) =>
      `M${round(x - radius)} ${round(y)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`).join('')
    return d === '' ? '' : `<path data-series="${series}" d="${d}" ${fill(colour)} ${stroke('paper')} stroke-width="0.8"/>`
  }
  return path('first', 'down', true) + path('late', 'confirmed', false)
}

/** Dots side by side in a row: each as near to its middle as those before it leave room; where there is none, on top. */
function swarm (dots: readonly { x: number, first: boolean }[], { top, bottom }: Box, radius: number): { x: number, y: number, first: boolean }[] {
  const middle = (top + bottom) / 2
  const aside = radius + 0.1
  const stepsMax = Math.max(0, Math.floor(((bottom - top) / 2 - radius - 1) / aside))
  const steps = Array.from({ length: 2 * stepsMax + 1 }, (_, index) => (index % 2 === 0 ? 1 : -1) * Math.ceil(index / 2))
  const placed: { x: number, y: number, first: boolean }[] = []
  let oldest = 0
  for (const dot of [...dots].sort((a, b) => a.x - b.x)) {
    while (oldest < placed.length && placed[oldest]!.x < dot.x - 2 * radius) oldest++
    const near = placed.slice(oldest)
    const step = steps.find(step => near.every(other => Math.hypot(other.x - dot.x, other.y - middle - step * aside) >= 2 * radius - 0.5)) ?? 0
    placed.push({ ...dot, y: middle + step * aside })
  }
  return placed
}

/** The median of all as a line, and of each row that has several as a notch. */
function drawMedian ({ picture: { summary: { medianLeadTimeS: median } }, rows, bottom, x }: Frame): string {
  if (median === null) return ''
  const notches = rows.length < 2
    ? ''
    : rows.filter(({ dots }) => dots.length > 2).map(({ dots, box }) => {
      const own = medianOf(dots.map(({ leadTimeS }) => ({ value: leadTimeS, count: 1 })))!
      return `M${round(x(own))} ${round(box.top + 4)}V${round(box.bottom - 4)}`
    }).join('')
  const words = median === 0 ? 'median: with the vendor' : `median: ${leadWords(median)} ${median > 0 ? 'before' : 'after'}`
  const half = textWidth(words, 12.5 * BOLD) / 2
  return (notches === '' ? '' : `<path data-mark="row-median" d="${notches}" fill="none" ${stroke('ink')} stroke-width="2"/>`) +
    `<path data-mark="median" d="M${round(x(median))} ${TOP}V${round(bottom + 26)}" fill="none" ${stroke('ink')} stroke-width="1.5" stroke-dasharray="4 3"/>` +
    write(Math.min(Math.max(x(median), LEFT + half), RIGHT - half), bottom + 40, words, 'ink', 'text-anchor="middle" font-size="12.5" font-weight="600"')
}

function drawFoot ({ height }: Frame): string {
  return write(MARGIN, height - 13, 'From detection to the vendor’s first public word. Detected by people’s reports.', 'muted', 'font-size="12"') +
    write(WIDTH - MARGIN, height - 13, 'Source: Groundswell', 'muted', 'font-size="12" text-anchor="end"')
}

/** What is to be seen, for those who cannot see it. */
function describeLeadTimes (picture: LeadTimePicture): string {
  const { year, summary: { acknowledged, unacknowledged, missed, falseAlarms, medianLeadTimeS: median }, dots } = picture
  const late = dots.filter(({ leadTimeS }) => leadTimeS < 0).length
  const figure = (count: number, what: string): string => `${countWords(count)} ${what}.`
  return [
    `Lead times${year === null ? '' : ` of ${year}`}: how long before the vendor’s word people’s reports had shown an outage.`,
    median === null ? 'No vendor has acknowledged an outage here.' : `The median is ${leadWords(median)} ${median >= 0 ? 'before' : 'after'} the vendor; in ${countWords(late)} of ${countWords(dots.length)} the vendor was first.`,
    figure(acknowledged, 'acknowledged'), figure(unacknowledged, 'never acknowledged'), figure(missed, 'missed by us'), figure(falseAlarms, falseAlarms === 1 ? 'false alarm' : 'false alarms')
  ].join(' ')
}
