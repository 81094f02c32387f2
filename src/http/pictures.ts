// One curve as a standalone SVG document: data in, text out. Ticks and words are in axes.ts, paths and colours in shapes.ts.
// Colours are presentation attributes, so that a strict policy or a plain viewer loses only the dark ones in <style>.
import { clipText, countScale, countWords, dateWords, momentWords, periodWords, textWidth, timeTicks, timeWords, widthWords, type CountScale } from './axes.ts'
import { area, barOf, bars, darkStyle, escapeXml, fill, FONTS, HALO, outline, PATTERNS, rectangles, round, stroke, write, type Box, type Cell, type Colour } from './shapes.ts'

/** One window; times in ms since the epoch. */
export interface PicturePoint {
  start: number
  working: number
  degraded: number
  down: number
  /** The baseline, in down + degraded/2; null when nothing is known. */
  expectedDown: number | null
  /** The most that is still usual, in the same measure. */
  upperDown: number | null
  /** False: the window is still open. */
  complete: boolean
  /** Nobody watched: unknown, not zero. */
  gap: boolean
}

/** One outage's span; times in ms since the epoch. */
export interface PictureOutage {
  /** The onset. */
  from: number
  suspectedAt: number
  confirmedAt: number | null
  /** When it was resolved or dismissed; null while it is open. */
  to: number | null
  state: 'suspected' | 'confirmed' | 'recovering' | 'resolved' | 'dismissed'
}

/** What is to be drawn of `[from, to)`, ms since the epoch. */
export interface CurvePicture {
  title: string
  /** Words: "everywhere, all devices". */
  scope: string
  windowS: number
  from: number
  to: number
  /** Regular, ascending, at most 2,000. */
  points: readonly PicturePoint[]
  outages: readonly PictureOutage[]
  /** The vendor's own words. */
  acknowledgements: readonly { at: number, source: string }[]
}

const WIDTH = 800
const HEIGHT = 500
const MARGIN = 20
const LEFT = 64
const RIGHT = WIDTH - MARGIN - 6
const STRIP = 6
const WORKS_HEIGHT = 40
const LABEL_ROW = 16
const LABEL_ROWS_MAX = 3
/** From this width on, px, windows stand apart as bars; narrower ones join to an area. */
const BAR_MIN = 3.5
/** Narrower outages have no pole among the counts, px. */
const POLE_BAND_MIN = 10
/** How much wider bold text is. */
const BOLD = 1.1

interface Label { x: number, texts: string[], colour: Colour }
interface Placed { x: number, text: string, colour: Colour, row: number, start: number, end: number }
interface Frame { picture: CurvePicture, x: (at: number) => number, plot: Box, works: Box | null, scale: CountScale, labels: Placed[], rows: LegendItem[][] }
interface LegendItem { text: string, key: string }

/**
 * Counts, baseline, bound and outage bands of one curve as a standalone SVG, readable in light and dark.
 * A degraded report is drawn at half its height, as it weighs in the baseline. Without points it says so.
 */
export function drawCurve (picture: CurvePicture): string {
  const frame = layOut(picture)
  const parts = [
    drawHead(frame), drawBands(frame), drawUsual(frame), drawGrid(frame), drawGaps(frame), drawReports(frame), drawLines(frame),
    drawWorks(frame), drawTimes(frame), drawMarks(frame), drawPeak(frame), drawFoot(picture)
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gsw" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="${FONTS}" font-size="13">` +
    `<title>${escapeXml(`${picture.title}: reports of failure, ${picture.scope}`)}</title><desc>${escapeXml(describeCurve(picture))}</desc>` +
    `<style>${darkStyle()}</style>${PATTERNS}<rect width="${WIDTH}" height="${HEIGHT}" ${fill('paper')}/>${parts.join('')}</svg>\n`
}

function layOut (picture: CurvePicture): Frame {
  const { points, from, to, outages, acknowledgements } = picture
  const span = Math.max(to - from, 1)
  const x = (at: number): number => LEFT + Math.min(Math.max((at - from) / span, 0), 1) * (RIGHT - LEFT)
  const rows = legendRows(picture)
  const marks = [
    ...outages.map(({ suspectedAt: at, state }) => state === 'dismissed'
      ? { at, texts: [`flagged ${momentWords(at, span)}, dismissed`, 'dismissed'], colour: 'muted' as const }
      : { at, texts: [`flagged ${momentWords(at, span)}`], colour: 'confirmed' as const }),
    ...acknowledgements.map(({ at, source }) => {
      const said = `acknowledged ${momentWords(at, span)}`
      return { at, texts: [`${said}, ${clipText(source, 12.5, 180)}`, said], colour: 'vendor' as const }
    })
  ].filter(({ at }) => at >= from && at <= to).sort((a, b) => a.at - b.at).map(({ at, ...mark }) => ({ ...mark, x: x(at) }))
  const labels = placeLabels(marks)
  const labelRows = Math.max(0, ...labels.map(({ row }) => row + 1))
  const hasWorks = points.some(({ working }) => working > 0)
  const plot = {
    top: 92 + rows.length * 19 + labelRows * LABEL_ROW + (outages.length > 0 ? STRIP + 4 : 0) + 8,
    bottom: HEIGHT - 72 - (hasWorks ? WORKS_HEIGHT + 30 : 0)
  }
  const works = hasWorks ? { top: HEIGHT - 72 - WORKS_HEIGHT, bottom: HEIGHT - 72 } : null
  let highest = 0
  for (const point of points) highest = Math.max(highest, weightOf(point) * 1.06, point.expectedDown ?? 0, point.upperDown ?? 0)
  return { picture, x, plot, works, scale: countScale(highest, 5), labels, rows }
}

/** One report of degradation weighs half a report that it is down, as in the baseline. */
function weightOf ({ down, degraded }: PicturePoint): number {
  return down + degraded / 2
}

/** Labels beside their poles, in the fewest rows in which most fit; whose label finds no room keeps its pole. */
function placeLabels (marks: readonly Label[]): Placed[] {
  let best: Placed[] = []
  for (let rows = 1; rows <= LABEL_ROWS_MAX; rows++) {
    const placed: Placed[] = []
    for (const { texts, ...mark } of marks) {
      const label = texts.map(text => placeLabel({ ...mark, text }, placed, rows)).find(label => label !== undefined)
      if (label !== undefined) placed.push(label)
    }
    if (placed.length > best.length) best = placed
  }
  return best
}

function placeLabel (mark: { x: number, text: string, colour: Colour }, placed: readonly Placed[], rows: number): Placed | undefined {
  const width = textWidth(mark.text, 12.5 * BOLD) + 6
  const [start, end] = mark.x + width <= RIGHT ? [mark.x, mark.x + width] : [mark.x - width, mark.x]
  const hits = (other: Placed): boolean => start < other.end + 8 && end > other.start - 8
  const crosses = (other: Placed): boolean => mark.x > other.start - 3 && mark.x < other.end + 3
  // The first labels take the upper rows: a later pole then ends below them.
  const row = Array.from({ length: rows }, (_, index) => rows - 1 - index).find(row => placed.every(other =>
    other.row === row ? !hits(other) : other.row < row ? !crosses(other) : !(other.x > start && other.x < end)))
  return row === undefined ? undefined : { ...mark, row, start, end }
}

function drawHead ({ picture, rows }: Frame): string {
  const { title, scope, windowS, from, to } = picture
  const room = WIDTH - 2 * MARGIN
  const size = textWidth(title, 23 * BOLD) <= room ? 23 : 17
  const what = `Reports of failure per ${widthWords(windowS)}, ${scope}`
  const legend = rows.map((row, index) => {
    let x = MARGIN
    return row.map(({ text, key }) => {
      const item = `<g transform="translate(${round(x)} ${92 + index * 19})">${key}${write(24, 11, text, 'ink', 'font-size="12.5"')}</g>`
      x += legendWidth(text)
      return item
    }).join('')
  }).join('')
  return write(MARGIN, 36, clipText(title, size * BOLD, room), 'ink', `font-size="${size}" font-weight="700"`) +
    write(MARGIN, 59, clipText(what, 15, room), 'ink', 'font-size="15"') + write(MARGIN, 79, periodWords(from, to), 'muted') + legend
}

function legendWidth (text: string): number {
  return 24 + textWidth(text, 12.5) + 16
}

/** The keys of what is in the picture, and of nothing else, in rows that fit. */
function legendRows ({ points, outages, acknowledgements }: CurvePicture): LegendItem[][] {
  const swatch = (paint: string): string => `<rect y="1" width="18" height="11" ${paint}/>`
  const band = (tint: Colour, colour: Colour): string => `${swatch(fill(tint))}<path d="M0 1H18V4.500H0Z" ${fill(colour)}/>`
  const items: [boolean, string, string][] = [
    [points.some(({ down }) => down > 0), 'down', swatch(fill('down'))],
    [points.some(({ degraded }) => degraded > 0), 'degraded, at half height', swatch(fill('degraded'))],
    [points.some(point => !point.complete && weightOf(point) > 0), 'window still open', swatch(`fill="url(#gsw-open)" ${stroke('down')}`)],
    [points.some(({ expectedDown }) => expectedDown !== null), 'usual', `<path d="M0 6.500H18" fill="none" ${stroke('ink')} stroke-width="1.8"/>`],
    [points.some(({ upperDown }) => upperDown !== null), 'the most that is usual', `${swatch(`${fill('muted')} fill-opacity="0.14"`)}<path d="M0 1.500H18" fill="none" ${stroke('muted')} stroke-width="1.5" stroke-dasharray="4 3"/>`],
    [points.some(({ gap }) => gap), 'not watched', swatch('fill="url(#gsw-gap)"')],
    [outages.some(isSuspicion), 'outage suspected', band('suspectedTint', 'suspected')],
    [outages.some(isConfirmed), 'confirmed', band('confirmedTint', 'confirmed')],
    [outages.some(({ state }) => state === 'dismissed'), 'dismissed', band('dismissedTint', 'muted')],
    [acknowledgements.length > 0, 'the vendor’s word', `<path d="M9 0V13" fill="none" ${stroke('vendor')} stroke-width="1.8"/>`]
  ]
  const rows: LegendItem[][] = []
  let used = Infinity
  for (const [, text, key] of items.filter(([shown]) => shown)) {
    if (used + legendWidth(text) > WIDTH - 2 * MARGIN + 16) {
      rows.push([])
      used = 0
    }
    rows.at(-1)!.push({ text, key })
    used += legendWidth(text)
  }
  return rows
}

function isConfirmed ({ state, confirmedAt }: PictureOutage): boolean {
  return state !== 'dismissed' && confirmedAt !== null
}

function isSuspicion ({ state, from, to, confirmedAt }: PictureOutage): boolean {
  return state !== 'dismissed' && (confirmedAt ?? to ?? Infinity) > from
}

function drawBands ({ picture, x, plot }: Frame): string {
  const draw = (name: string, spans: readonly (readonly [number, number])[], tint: Colour, colour: Colour): string => {
    const inside = spans.filter(([from, to]) => to >= picture.from && from <= picture.to).map(([from, to]) => [x(from), x(to)] as const)
    if (inside.length === 0) return ''
    return `<g data-band="${name}"><path d="${rectangles(inside, plot)}" ${fill(tint)}/><path d="${rectangles(inside, { top: plot.top - STRIP, bottom: plot.top })}" ${fill(colour)}/></g>`
  }
  const { outages, to: edge } = picture
  return draw('dismissed', outages.filter(({ state }) => state === 'dismissed').map(({ from, to }) => [from, to ?? edge]), 'dismissedTint', 'muted') +
    draw('suspected', outages.filter(isSuspicion).map(({ from, to, confirmedAt }) => [from, confirmedAt ?? to ?? edge]), 'suspectedTint', 'suspected') +
    draw('confirmed', outages.filter(isConfirmed).map(({ confirmedAt, to }) => [confirmedAt!, to ?? edge]), 'confirmedTint', 'confirmed')
}

/** The points as cells of the plot from one height to another, both counted; null where `read` says so. */
function cellsOf ({ picture, x }: Frame, { top, bottom }: Box, max: number, read: (point: PicturePoint) => readonly [number, number] | null): (Cell | null)[] {
  const y = (count: number): number => bottom - count / max * (bottom - top)
  return picture.points.map(point => {
    const heights = read(point)
    return heights === null ? null : { x0: x(point.start), x1: x(point.start + picture.windowS * 1000), low: y(heights[0]), high: y(heights[1]) }
  })
}

function drawUsual (frame: Frame): string {
  const d = area(cellsOf(frame, frame.plot, frame.scale.top, ({ upperDown, gap }) => upperDown === null || gap ? null : [0, upperDown]))
  return d === '' ? '' : `<path data-series="usual" d="${d}" ${fill('muted')} fill-opacity="0.14"/>`
}

function drawGrid ({ plot, scale }: Frame): string {
  const y = (count: number): number => plot.bottom - count / scale.top * (plot.bottom - plot.top)
  return `<path d="${scale.ticks.slice(1).map(count => `M${LEFT} ${round(y(count))}H${RIGHT}`).join('')}" fill="none" ${stroke('grid')}/>` +
    `<path d="M${LEFT} ${plot.bottom}H${RIGHT}" fill="none" ${stroke('ink')}/>` +
    scale.ticks.map(count => write(LEFT - 8, y(count) + 4.5, axisWords(count, scale.top), 'muted', 'text-anchor="end" data-axis="count" font-size="12.5"')).join('')
}

/** On the axis millions are short, so that they fit beside it; the unit stands at every number. */
function axisWords (count: number, top: number): string {
  for (const [size, unit] of [[1e12, 'tn'], [1e9, 'bn'], [1e6, 'm']] as const) {
    if (top >= size && count > 0) return `${countWords(Math.round(count / size * 1000) / 1000)}${unit}`
  }
  return countWords(count)
}

function drawGaps ({ picture, x, plot, works }: Frame): string {
  const spans: [number, number][] = []
  for (const { gap, start } of picture.points) {
    const end = start + picture.windowS * 1000
    if (gap && spans.at(-1)?.[1] === start) spans.at(-1)![1] = end
    else if (gap) spans.push([start, end])
  }
  if (spans.length === 0) return ''
  const places = spans.map(([from, to]) => [x(from), x(to)] as const)
  const d = [plot, ...(works === null ? [] : [works])].map(box => rectangles(places, box)).join('')
  // A picture without any report says this in its middle.
  const roomy = peakOf(picture) === undefined ? [] : places.filter(([x0, x1]) => x1 - x0 >= 90)
  return `<path data-mark="gap" d="${d}" fill="url(#gsw-gap)"/>` +
    roomy.map(([x0, x1]) => write((x0 + x1) / 2, (plot.top + plot.bottom) / 2, 'not watched', 'muted', `text-anchor="middle" ${HALO}`)).join('')
}

function drawReports (frame: Frame): string {
  const { picture: { windowS, points }, x, plot, scale } = frame
  const first = points[0]?.start ?? 0
  const apart = x(first + windowS * 1000) - x(first) >= BAR_MIN
  const path = (series: string, paint: string, read: (point: PicturePoint) => readonly [number, number] | null): string => {
    const cells = cellsOf(frame, plot, scale.top, point => {
      const heights = read(point)
      return heights === null || heights[1] === heights[0] ? null : heights
    })
    const d = apart ? bars(cells) : area(cells)
    return d === '' ? '' : `<path data-series="${series}" d="${d}" ${paint}/>`
  }
  // As joined areas both stand on the floor, the darker one before the lighter; as bars they are stacked.
  return path('degraded', fill('degraded'), point => !point.complete || point.degraded === 0 ? null : [apart ? point.down : 0, weightOf(point)]) +
    path('down', fill('down'), point => point.complete ? [0, point.down] : null) +
    path('open', `fill="url(#gsw-open)" ${stroke('down')}`, point => point.complete ? null : [0, weightOf(point)])
}

function drawLines (frame: Frame): string {
  const line = (series: string, read: (point: PicturePoint) => number | null, colour: Colour, style: string, halo: string): string => {
    const cells = (complete: boolean): (Cell | null)[] => cellsOf(frame, frame.plot, frame.scale.top, point => {
      const count = point.gap || point.complete !== complete ? null : read(point)
      return count === null ? null : [0, count]
    })
    // An open window expects as much as its begun minutes do: it is no cliff, so its line stands alone.
    const d = outline(cells(true)) + outline(cells(false))
    if (d === '') return ''
    return `<path d="${d}" fill="none" ${stroke('paper')} ${halo}/><path data-series="${series}" d="${d}" fill="none" ${stroke(colour)} ${style}/>`
  }
  return line('upper', ({ upperDown }) => upperDown, 'muted', 'stroke-width="1.4" stroke-dasharray="4 3"', 'stroke-width="2.6" stroke-dasharray="4 3"') +
    line('expected', ({ expectedDown }) => expectedDown, 'ink', 'stroke-width="1.5"', 'stroke-width="3"')
}

/** Those for whom it works, below and on a scale of their own: beside them the failures would be flat. */
function drawWorks (frame: Frame): string {
  const { works, picture: { points } } = frame
  if (works === null) return ''
  const { top } = countScale(points.reduce((most, { working }) => Math.max(most, working), 0), 1)
  const cells = cellsOf(frame, works, top, ({ working, gap }) => gap ? null : [0, working])
  return `<path d="M${LEFT} ${works.top}H${RIGHT}" fill="none" ${stroke('grid')}/><path d="${area(cells)}" ${fill('muted')} fill-opacity="0.18"/>` +
    `<path data-series="working" d="${outline(cells)}" fill="none" ${stroke('muted')} stroke-width="1.2"/><path d="M${LEFT} ${works.bottom}H${RIGHT}" fill="none" ${stroke('ink')}/>` +
    write(LEFT, works.top - 7, 'Reports that it works, on a scale of their own', 'muted', 'font-size="12.5"') +
    write(LEFT - 8, works.top + 4.5, axisWords(top, top), 'muted', 'text-anchor="end" font-size="12.5"') + write(LEFT - 8, works.bottom + 4.5, '0', 'muted', 'text-anchor="end" font-size="12.5"')
}

function drawTimes ({ picture: { from, to }, x, plot, works }: Frame): string {
  const floor = (works ?? plot).bottom
  const ticks = timeTicks(from, to, 10).map(tick => ({ ...tick, x: x(tick.at) }))
  const half = (text: string): number => textWidth(text, 12.5 * BOLD) / 2 + 6
  const contexts = ticks.filter(({ context }) => context !== null).map(({ x, context }) => ({ x, text: context!, half: half(context!) }))
  // The first names what began before the picture: it gives way to what begins within.
  const shown = contexts.filter(({ x, half }, index) => x + half <= WIDTH && (index > 0 || contexts[1] === undefined || x + half <= contexts[1].x - contexts[1].half))
  return `<path d="${ticks.map(({ x, context }) => `M${round(x)} ${floor}v${context === null ? 5 : 8}`).join('')}" fill="none" ${stroke('ink')}/>` +
    ticks.map(({ x, label }) => write(x, floor + 21, label, 'muted', 'text-anchor="middle" data-axis="time" font-size="12.5"')).join('') +
    shown.map(({ x, text }) => write(x, floor + 38, text, 'ink', 'text-anchor="middle" data-axis="context" font-size="12.5" font-weight="600"')).join('')
}

/** A pole for each moment: when we flagged it, and when the vendor said so. */
function drawMarks ({ picture: { from, to, outages, acknowledgements }, x, plot, labels }: Frame): string {
  const feet = plot.top - (outages.length > 0 ? STRIP : 0) - 6
  const poles = (name: string, moments: readonly { at: number, foot: number }[], colour: Colour): string => {
    const d = moments.filter(({ at }) => at >= from && at <= to).map(({ at, foot }) => {
      const label = labels.find(label => label.x === x(at) && label.colour === colour)
      return `M${round(x(at))} ${foot}V${round(label === undefined ? plot.top - STRIP : feet - label.row * LABEL_ROW - 11)}`
    }).join('')
    return d === '' ? '' : `<path data-mark="${name}" d="${d}" fill="none" ${stroke(colour)} stroke-width="1.3"/>`
  }
  // In a narrow band the pole would hide the very counts it is about: it ends above them.
  const flags = (dismissed: boolean): { at: number, foot: number }[] => outages.filter(({ state }) => (state === 'dismissed') === dismissed)
    .map(outage => ({ at: outage.suspectedAt, foot: x(outage.to ?? to) - x(outage.from) < POLE_BAND_MIN ? plot.top : plot.bottom }))
  return poles('flagged', flags(false), 'confirmed') + poles('dismissed', flags(true), 'muted') +
    poles('acknowledged', acknowledgements.map(({ at }) => ({ at, foot: plot.bottom })), 'vendor') +
    labels.map(({ x, text, colour, row, start }) => write(start < x ? x - 5 : x + 5, feet - row * LABEL_ROW, text, colour, `font-size="12.5" font-weight="600"${start < x ? ' text-anchor="end"' : ''}`)).join('')
}

/** The highest window by weight, the first of equals; undefined when all are zero. */
function peakOf ({ points }: CurvePicture): PicturePoint | undefined {
  return points.reduce<PicturePoint | undefined>((peak, point) => weightOf(point) > (peak === undefined ? 0 : weightOf(peak)) ? point : peak, undefined)
}

/** ", 26 times the usual" from twice on, else nothing. */
function timesWords (point: PicturePoint): string {
  const times = point.expectedDown !== null && point.expectedDown > 0 ? weightOf(point) / point.expectedDown : 0
  const words = countWords(times >= 10 ? Math.round(times) : times)
  return times < 2 ? '' : words === '2' ? ', twice the usual' : `, ${words} times the usual`
}

function drawPeak ({ picture, x, plot, scale }: Frame): string {
  const peak = peakOf(picture)
  const middle = (LEFT + RIGHT) / 2
  if (peak === undefined) return write(middle, (plot.top + plot.bottom) / 2 - 16, quietWords(picture), 'muted', `text-anchor="middle" font-size="15" ${HALO}`)
  const counts = peak.degraded === 0 ? countWords(peak.down) : `${countWords(peak.down)} down, ${countWords(peak.degraded)} degraded`
  const text = counts + timesWords(peak)
  const width = textWidth(text, 13 * BOLD)
  // It runs away from the rise, over what is lower.
  const { x0: left, x1: right } = barOf(x(peak.start), x(peak.start + picture.windowS * 1000))
  const [at, anchor] = left + width <= RIGHT ? [left, 'start'] : right - width >= LEFT ? [right, 'end'] : [LEFT, 'start']
  return write(at, plot.bottom - weightOf(peak) / scale.top * (plot.bottom - plot.top) - 6, text, 'ink', `data-mark="peak" text-anchor="${anchor}" font-weight="700" ${HALO}`)
}

function quietWords ({ points }: CurvePicture): string {
  if (points.length === 0) return 'There are no windows in this period'
  return points.every(({ gap }) => gap) ? 'Nobody watched in this period' : 'Nobody reported a failure in this period'
}

function drawFoot ({ points }: CurvePicture): string {
  const half = points.some(({ degraded }) => degraded > 0) ? ' “Degraded” weighs half.' : ''
  return write(MARGIN, HEIGHT - 13, `People’s reports, not the vendor’s word.${half} Times are UTC.`, 'muted', 'font-size="12"') +
    write(WIDTH - MARGIN, HEIGHT - 13, 'Source: Groundswell', 'muted', 'font-size="12" text-anchor="end"')
}

/** What is to be seen, for those who cannot see it. */
function describeCurve (picture: CurvePicture): string {
  const { points, outages, acknowledgements, windowS, from, to } = picture
  const peak = peakOf(picture)
  const when = (at: number): string => `${dateWords(at)}, ${timeWords(at)} UTC`
  const gaps = points.filter(({ gap }) => gap).length
  const says = outages.slice(0, 3).map(({ from, suspectedAt, confirmedAt, to, state }) => `Outage from ${when(from)}, flagged ${when(suspectedAt)}` +
    (confirmedAt === null ? '' : `, confirmed ${when(confirmedAt)}`) + (to === null ? ', still open.' : `, ${state === 'dismissed' ? 'dismissed' : 'over'} ${when(to)}.`))
  return [
    `Reports of failure per ${widthWords(windowS)}, ${picture.scope}, ${periodWords(from, to)}.`,
    peak === undefined
      ? `${quietWords(picture)}.`
      : `The most in one window were ${countWords(peak.down)} down and ${countWords(peak.degraded)} degraded, from ${when(peak.start)}${timesWords(peak)}` +
        (peak.expectedDown === null ? '; what is usual there is not known.' : `; usual there: ${countWords(peak.expectedDown)}.`),
    ...says,
    ...(outages.length > 3 ? [`${outages.length} outages in all.`] : []),
    ...acknowledgements.slice(0, 3).map(({ at, source }) => `Acknowledged ${when(at)} by ${source}.`),
    ...(gaps > 0 ? [`Not watched: ${gaps} of ${points.length} windows.`] : []),
    ...(points.some(({ complete }) => !complete) ? ['The last window is still open.'] : [])
  ].join(' ')
}
