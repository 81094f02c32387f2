// A history as a standalone SVG document: hours of outage month by month, how many began, and the years below them.
// Ticks and words are in axes.ts, paths and colours in shapes.ts; what a history is stands in core/history.
import { startOfMonth, type History } from '../core/history.ts'
import { clipText, countScale, countWords, dateWords, durationWords, monthOf, textWidth, type CountScale } from './axes.ts'
import { barOf, bars, darkStyle, escapeXml, fill, FONTS, HALO, PATTERNS, rectangles, round, stroke, write, type Box } from './shapes.ts'

/** What is to be drawn of `[from, to)`, ms since the epoch: months and years as `tellHistory` gives them, at most 121 months. */
export interface HistoryPicture extends History { title: string, from: number, to: number }

const WIDTH = 800
const HEIGHT = 500
const MARGIN = 20
const LEFT = 64
const RIGHT = WIDTH - MARGIN - 6
const PLOT: Box = { top: 140, bottom: 360 }
/** Shorter bars and narrower hatchings could not be seen, px. */
const SEEN_MIN = 2
/** A smaller part of a month without a watch is not drawn: it is a restart, not a hole. */
const UNWATCHED_SHARE_MIN = 0.001
/** Columns from which on, px, months are named in full, by their first letter, and counts stand on the bars. */
const NAME_MIN = 30
const LETTER_MIN = 11
const COUNT_MIN = 15
/** Up to here, s, minutes say more than hours. */
const MINUTES_UP_TO_S = 2 * 3600
const QUIET = 'No outage was seen'
/** How much wider bold text is. */
const BOLD = 1.1

type Month = History['months'][number]
interface Column extends Month { x0: number, x1: number, whole: boolean, unwatched: number }
interface Frame { picture: HistoryPicture, columns: Column[], unitS: number, scale: CountScale }

/** Hours of outage a month as a standalone SVG, readable in light and dark. What nobody watched is hatched: it is no calm. */
export function drawHistory (picture: HistoryPicture): string {
  const frame = layOut(picture)
  const parts = [drawHead(frame), drawGrid(frame), drawUnwatched(frame), drawOutages(frame), drawMonths(frame), drawYears(frame), drawFoot()]
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gsw" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="${FONTS}" font-size="13">` +
    `<title>${escapeXml(`${picture.title}: outages by month`)}</title><desc>${escapeXml(describeHistory(picture))}</desc>` +
    `<style>${darkStyle()}</style>${PATTERNS}<rect width="${WIDTH}" height="${HEIGHT}" ${fill('paper')}/>${parts.join('')}</svg>\n`
}

function layOut (picture: HistoryPicture): Frame {
  const { months } = picture
  const width = (RIGHT - LEFT) / Math.max(months.length, 1)
  const columns = months.map((month, index) => {
    const unwatched = 1 - month.watchedS / ((month.to - month.from) / 1000)
    return {
      ...month,
      x0: LEFT + index * width,
      x1: LEFT + (index + 1) * width,
      whole: month.from === startOfMonth(month.from) && month.to === startOfMonth(month.from, 1),
      unwatched: unwatched < UNWATCHED_SHARE_MIN ? 0 : unwatched
    }
  })
  const longest = Math.max(0, ...months.map(({ outageS }) => outageS))
  const unitS = longest <= MINUTES_UP_TO_S && longest > 0 ? 60 : 3600
  // Room for the number that stands on the highest bar.
  return { picture, columns, unitS, scale: countScale(longest / unitS * 1.08, 5) }
}

function totalsOf ({ months }: HistoryPicture): { count: number, seconds: number } {
  return { count: months.reduce((sum, { outageCount }) => sum + outageCount, 0), seconds: months.reduce((sum, { outageS }) => sum + outageS, 0) }
}

function outagesWords (count: number): string {
  return count === 1 ? '1 outage' : `${countWords(count)} outages`
}

/** Hours however many: only they can be compared with one another and with the axis. */
function hoursWords (seconds: number): string {
  if (seconds > 0 && seconds < 3600) return durationWords(seconds)
  return `${countWords(seconds < 36_000 ? seconds / 3600 : Math.round(seconds / 3600))} h`
}

/** "7 outages, 31 h in all; on average 41 days apart and 4.4 h long". */
function sumWords (picture: HistoryPicture): string {
  const { count, seconds } = totalsOf(picture)
  const { meanBetweenS, meanRecoveryS } = picture
  if (seconds === 0 && count === 0) return picture.months.every(({ watchedS }) => watchedS === 0) ? 'nobody watched' : 'no outage was seen'
  const means = [meanBetweenS === null ? '' : `${durationWords(meanBetweenS)} apart`, meanRecoveryS === null ? '' : `${durationWords(meanRecoveryS)} long`].filter(text => text !== '')
  return `${outagesWords(count)}, ${hoursWords(seconds)} in all${means.length === 0 ? '' : `; on average ${means.join(' and ')}`}`
}

/** "1 November 2024 to 18 November 2026": the time of day does not matter here. */
function daysWords ({ from, to }: HistoryPicture): string {
  const [first, last] = [dateWords(from), dateWords(to - 1)]
  return first === last ? first : `${first} to ${last}`
}

function drawHead ({ picture, columns, unitS }: Frame): string {
  const room = WIDTH - 2 * MARGIN
  const size = textWidth(picture.title, 23 * BOLD) <= room ? 23 : 17
  const swatch = (paint: string): string => `<rect y="1" width="18" height="11" ${paint}/>`
  const items: [boolean, string, string][] = [
    [columns.some(({ outageS }) => outageS > 0), 'outage, and how many began', swatch(fill('down'))],
    [columns.some(({ whole, outageS }) => !whole && outageS > 0), 'month not whole', swatch(`fill="url(#gsw-open)" ${stroke('down')}`)],
    [columns.some(({ unwatched }) => unwatched > 0), 'not watched: that share of the month', swatch('fill="url(#gsw-gap)"')]
  ]
  let x = MARGIN
  const legend = items.filter(([shown]) => shown).map(([, text, key]) => {
    const item = `<g transform="translate(${round(x)} 100)">${key}${write(24, 11, text, 'ink', 'font-size="12.5"')}</g>`
    x += 24 + textWidth(text, 12.5) + 16
    return item
  }).join('')
  return write(MARGIN, 36, clipText(picture.title, size * BOLD, room), 'ink', `font-size="${size}" font-weight="700"`) +
    write(MARGIN, 59, `${unitS === 60 ? 'Minutes' : 'Hours'} a month in which people reported that it fails`, 'ink', 'font-size="15"') +
    write(MARGIN, 79, clipText(`${daysWords(picture)}: ${sumWords(picture)}`, 13, room), 'muted') + legend
}

function drawGrid ({ scale }: Frame): string {
  const y = (count: number): number => PLOT.bottom - count / scale.top * (PLOT.bottom - PLOT.top)
  return `<path d="${scale.ticks.slice(1).map(count => `M${LEFT} ${round(y(count))}H${RIGHT}`).join('')}" fill="none" ${stroke('grid')}/>` +
    scale.ticks.map(count => write(LEFT - 8, y(count) + 4.5, countWords(count), 'muted', 'text-anchor="end" data-axis="count" font-size="12.5"')).join('')
}

/** What nobody watched hangs from above by its share, so that an outage below it stays to be seen. */
function drawUnwatched ({ columns }: Frame): string {
  const height = PLOT.bottom - PLOT.top
  const d = columns.filter(({ unwatched }) => unwatched > 0).map(({ x0, x1, unwatched }) =>
    rectangles([[x0, x1]], { top: PLOT.top, bottom: PLOT.top + Math.max(unwatched * height, SEEN_MIN) })).join('')
  if (d === '') return ''
  const blank = runsOf(columns, ({ watchedS }) => watchedS === 0).filter(([x0, x1]) => x1 - x0 >= 90)
  return `<path data-mark="gap" d="${d}" fill="url(#gsw-gap)"/>` +
    blank.map(([x0, x1]) => write((x0 + x1) / 2, (PLOT.top + PLOT.bottom) / 2, 'not watched', 'muted', `text-anchor="middle" ${HALO}`)).join('')
}

function runsOf (columns: readonly Column[], holds: (column: Column) => boolean): [number, number][] {
  const runs: [number, number][] = []
  for (const column of columns) {
    if (!holds(column)) continue
    if (runs.at(-1)?.[1] === column.x0) runs.at(-1)![1] = column.x1
    else runs.push([column.x0, column.x1])
  }
  return runs
}

function drawOutages ({ picture, columns, unitS, scale }: Frame): string {
  const height = (outageS: number): number => outageS === 0 ? 0 : Math.max(outageS / unitS / scale.top * (PLOT.bottom - PLOT.top), SEEN_MIN)
  const path = (series: string, paint: string, whole: boolean): string => {
    const d = bars(columns.filter(column => column.whole === whole && column.outageS > 0)
      .map(({ x0, x1, outageS }) => ({ x0, x1, low: PLOT.bottom, high: PLOT.bottom - height(outageS) })))
    return d === '' ? '' : `<path data-series="${series}" d="${d}" ${paint}/>`
  }
  const counts = columns.filter(({ x0, x1, outageCount }) => outageCount > 0 && x1 - x0 >= COUNT_MIN).map(({ x0, x1, outageS, outageCount }) => {
    const sides = barOf(x0, x1)
    return write((sides.x0 + sides.x1) / 2, PLOT.bottom - height(outageS) - 5, countWords(outageCount), 'ink', `data-mark="count" text-anchor="middle" font-weight="700" font-size="12.5" ${HALO}`)
  })
  const quiet = totalsOf(picture).seconds > 0
    ? []
    : runsOf(columns, ({ watchedS }) => watchedS > 0).filter(([x0, x1]) => x1 - x0 >= textWidth(QUIET, 13)).slice(-1).map(([x0, x1]) =>
      write((x0 + x1) / 2, (PLOT.top + PLOT.bottom) / 2, QUIET, 'muted', `text-anchor="middle" ${HALO}`))
  return path('outages', fill('down'), true) + path('open', `fill="url(#gsw-open)" ${stroke('down')}`, false) + counts.join('') + quiet.join('') +
    `<path d="M${LEFT} ${PLOT.bottom}H${RIGHT}" fill="none" ${stroke('ink')}/>`
}

function drawMonths ({ columns }: Frame): string {
  const width = columns.length === 0 ? 0 : columns[0]!.x1 - columns[0]!.x0
  if (width < LETTER_MIN) return ''
  return columns.map(({ x0, x1, from }) =>
    write((x0 + x1) / 2, PLOT.bottom + 17, monthOf(from).slice(0, width < NAME_MIN ? 1 : 3), 'muted', 'data-axis="month" text-anchor="middle" font-size="12"')).join('')
}

/** Under the months of each year what they come to; a kind of line is as short as the tightest whole year needs it. */
function drawYears ({ picture: { years }, columns }: Frame): string {
  const blocks = years.map(({ year, outageCount, outageS, watchedS, changeS }, index) => {
    const own = columns.filter(({ from }) => new Date(from).getUTCFullYear() === year)
    const before = years[index - 1]
    const isBlank = watchedS === 0 && outageS === 0
    return {
      x0: own[0]!.x0,
      x1: own.at(-1)!.x1,
      whole: own.length === 12,
      lines: [
        [String(year), `’${String(year).slice(2)}`],
        isBlank ? ['not watched', '–'] : [outagesWords(outageCount), countWords(outageCount)],
        isBlank ? [] : [hoursWords(outageS)],
        // Beside a year that nobody watched any other would look worse than it.
        isBlank || changeS === null || before === undefined || before.watchedS === 0 ? [] : changeWords(changeS, before.year)
      ]
    }
  })
  const fits = (text: string, { x0, x1 }: { x0: number, x1: number }) => textWidth(text, 12.5 * BOLD) <= x1 - x0 - 2
  const shortest = blocks[0]!.lines.map((_, line) => Math.max(0, ...blocks.filter(block => block.whole && block.lines[line]!.length > 0)
    .map(block => block.lines[line]!.findIndex(text => fits(text, block)))))
  const styles = ['font-weight="700" data-axis="year"', 'data-mark="count-of-year"', 'data-mark="sum-of-year"', 'data-mark="change"']
  return blocks.map((block, index) => (index === 0 ? '' : `<path d="M${round(block.x0)} ${PLOT.top}V${PLOT.bottom + 92}" fill="none" ${stroke('grid')}/>`) +
    block.lines.map((texts, line) => {
      const text = texts.slice(shortest[line]).find(text => fits(text, block))
      // Figures without their year would belong to its neighbour.
      if (text === undefined || !fits(block.lines[0]!.at(-1)!, block)) return ''
      return write((block.x0 + block.x1) / 2, PLOT.bottom + [38, 56, 72, 88][line]!, text, line === 3 ? 'muted' : 'ink', `text-anchor="middle" font-size="12.5" ${styles[line]}`)
    }).join('')).join('')
}

function changeWords (changeS: number, before: number): string[] {
  if (changeS === 0) return [`as in ${before}`, '±0 h']
  const size = hoursWords(Math.abs(changeS))
  return [`${size} ${changeS > 0 ? 'more' : 'less'} than in ${before}`, `${changeS > 0 ? '+' : '−'}${size}`]
}

function drawFoot (): string {
  return write(MARGIN, HEIGHT - 13, 'People’s reports, not the vendor’s word. Confirmed outages, months in UTC.', 'muted', 'font-size="12"') +
    write(WIDTH - MARGIN, HEIGHT - 13, 'Source: Groundswell', 'muted', 'font-size="12" text-anchor="end"')
}

/** What is to be seen, for those who cannot see it. */
function describeHistory (picture: HistoryPicture): string {
  const { months, years } = picture
  const worst = months.reduce<Month | undefined>((most, month) => month.outageS > (most?.outageS ?? 0) ? month : most, undefined)
  const blank = months.filter(({ watchedS }) => watchedS === 0).length
  const partly = layOut(picture).columns.filter(({ unwatched, watchedS }) => unwatched > 0 && watchedS > 0).length
  return [
    `Outages that people’s reports show, ${daysWords(picture)}: ${sumWords(picture)}.`,
    ...(worst === undefined ? [] : [`The most was in ${dateWords(worst.from).replace(/^\d+ /, '')}: ${hoursWords(worst.outageS)}.`]),
    ...years.filter(({ watchedS }) => watchedS > 0).map(({ year, outageCount, outageS }) => `${year}: ${outagesWords(outageCount)}, ${hoursWords(outageS)}.`),
    ...(blank > 0 ? [`Not watched: ${blank} of ${months.length} months.`] : []),
    ...(partly > 0 ? [`Watched in part: ${partly} of ${months.length} months.`] : [])
  ].join(' ')
}
