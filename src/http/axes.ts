// Where a picture's ticks stand and how its times, numbers and texts are put: pure sums and English words.
// Nothing is drawn here; that is pictures.ts.
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../core/time.ts'

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** One mark on the time axis: its label, and the larger unit that begins with it (a date, a month, a year). */
export interface TimeTick { at: number, label: string, context: string | null }

/** Steps that divide a day or are whole days, ms. */
const EVEN_STEPS_MS = [
  1000, 5000, 15_000, 30_000,
  ...[1, 2, 5, 10, 15, 30].map(count => count * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map(count => count * HOUR_MS),
  ...[1, 2, 7, 14].map(count => count * DAY_MS)
]
/** Steps of whole calendar months; twelve are a year. */
const MONTH_STEPS = [1, 3, 6, ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000].map(years => years * 12)]
const MONTH_MS = 30.44 * DAY_MS
/** The epoch was a Thursday: weeks are counted from the Monday after. */
const FIRST_MONDAY_MS = 4 * DAY_MS

/** Ticks at round UTC times in `[from, to]` (ms), ascending, at most about `countMax` of them. */
export function timeTicks (from: number, to: number, countMax: number): TimeTick[] {
  const even = EVEN_STEPS_MS.find(step => (to - from) / step <= countMax)
  if (even !== undefined) return labelTicks(evenInstants(from, to, even), at => labelEven(at, even), at => even < DAY_MS ? dayWords(at) : monthWords(at))
  const months = MONTH_STEPS.find(step => (to - from) / (step * MONTH_MS) <= countMax) ?? MONTH_STEPS.at(-1)!
  const instants = monthInstants(from, to, months)
  return months < 12
    ? labelTicks(instants, at => monthOf(at).slice(0, 3), yearWords)
    : labelTicks(instants, yearWords, () => null)
}

function evenInstants (from: number, to: number, step: number): number[] {
  const origin = step >= 7 * DAY_MS ? FIRST_MONDAY_MS : 0
  const first = Math.ceil((from - origin) / step) * step + origin
  return first > to ? [] : Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step)
}

function monthInstants (from: number, to: number, step: number): number[] {
  const start = new Date(from)
  const firstMonth = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / step) * step
  const instants: number[] = []
  for (let month = firstMonth; ; month += step) {
    const at = startOfMonth(month)
    if (!(at <= to)) return instants
    if (at >= from) instants.push(at)
  }
}

/** The first instant of a month counted from the year 0; NaN past the end of time as `Date` knows it. */
function startOfMonth (month: number): number {
  const at = new Date(0)
  return at.setUTCFullYear(Math.floor(month / 12), ((month % 12) + 12) % 12, 1)
}

function labelTicks (instants: readonly number[], label: (at: number) => string, context: (at: number) => string | null): TimeTick[] {
  return instants.map((at, index) => {
    const here = context(at)
    return { at, label: label(at), context: index > 0 && context(instants[index - 1]!) === here ? null : here }
  })
}

function labelEven (at: number, step: number): string {
  if (step < DAY_MS) return timeWords(at, step < MINUTE_MS)
  return step === DAY_MS ? `${weekdayOf(at)} ${new Date(at).getUTCDate()}` : String(new Date(at).getUTCDate())
}

/** The scale of counts from zero: `top` is its end, `ticks` its round numbers, ascending from 0 to `top`. */
export interface CountScale { top: number, ticks: number[] }

/**
 * A scale that holds `max` with about `steps` whole-numbered steps of 1, 2, 2.5 or 5 times a power of ten.
 * It never ends below 4: a single report must not look like a peak.
 */
export function countScale (max: number, steps: number): CountScale {
  const rough = Math.max(max, 4) / steps
  const power = Math.max(1, 10 ** Math.floor(Math.log10(rough)))
  const step = power * ((power === 1 ? [1, 2, 5] : [1, 2, 2.5, 5]).find(factor => factor * power >= rough) ?? 10)
  const count = Math.ceil(Math.max(max, 4) / step)
  return { top: step * count, ticks: Array.from({ length: count + 1 }, (_, index) => step * index) }
}

/** A count as read: `7`, `47.5`, `1,056`, `250,000`, `12.5 million`. */
export function countWords (count: number): string {
  for (const [size, word] of [[1e12, 'trillion'], [1e9, 'billion'], [1e6, 'million']] as const) {
    if (count >= size) return `${group(Math.round(count / size * 100) / 100)} ${word}`
  }
  return group(Math.round(count * 10) / 10)
}

function group (number: number): string {
  const [whole, fraction] = String(number).split('.')
  return whole!.replace(/\B(?=(\d{3})+$)/g, ',') + (fraction === undefined ? '' : `.${fraction}`)
}

/** A window's width after "per": `minute`, `15 minutes`, `day`. */
export function widthWords (windowS: number): string {
  for (const [unit, word] of [[86_400, 'day'], [3600, 'hour'], [60, 'minute']] as const) {
    if (windowS === unit) return word
    if (windowS > unit && windowS % unit === 0) return `${windowS / unit} ${word}s`
  }
  return windowS === 1 ? 'second' : `${group(windowS)} seconds`
}

/** How long something lasts, s, as one says it: `45 s`, `12 min`, `3.5 h`, and from two days on `41 days`. */
export function durationWords (s: number): string {
  if (s > 0 && s < 90) return `${Math.round(s)} s`
  if (s < 90 * 60) return `${Math.round(s / 60)} min`
  const hours = s / 3600
  return hours < 48 ? `${countWords(hours < 10 ? hours : Math.round(hours))} h` : `${countWords(Math.round(hours / 24))} days`
}

/** `[from, to)` as one line: what both ends share is said once; whole days go without the time. */
export function periodWords (from: number, to: number): string {
  const lastDay = dateWords(to - 1)
  if (from % DAY_MS === 0 && to % DAY_MS === 0) return dateWords(from) === lastDay ? lastDay : `${dateWords(from)} to ${lastDay}`
  const end = dateWords(from) === dateWords(to) ? timeWords(to) : `${dateWords(to)}, ${timeWords(to)}`
  return `${dateWords(from)}, ${timeWords(from)} to ${end} UTC`
}

/** An instant inside a picture of `spanMs`, as short as it stays clear: `14:03`, `18 Nov 14:03`, `18 Nov 2012`. */
export function momentWords (at: number, spanMs: number): string {
  const date = `${new Date(at).getUTCDate()} ${monthOf(at).slice(0, 3)}`
  if (spanMs <= DAY_MS) return timeWords(at)
  return spanMs <= 60 * DAY_MS ? `${date} ${timeWords(at)}` : `${date} ${yearWords(at)}`
}

/** `18 November 2012`. */
export function dateWords (at: number): string {
  return `${new Date(at).getUTCDate()} ${monthWords(at)}`
}

/** `14:03`, or `14:03:20`. */
export function timeWords (at: number, seconds = false): string {
  const date = new Date(at)
  const parts = [date.getUTCHours(), date.getUTCMinutes(), ...(seconds ? [date.getUTCSeconds()] : [])]
  return parts.map(part => String(part).padStart(2, '0')).join(':')
}

function dayWords (at: number): string {
  return `${weekdayOf(at)} ${new Date(at).getUTCDate()} ${monthOf(at).slice(0, 3)}`
}

function monthWords (at: number): string {
  return `${monthOf(at)} ${yearWords(at)}`
}

function yearWords (at: number): string {
  return String(new Date(at).getUTCFullYear())
}

/** `November`. */
export function monthOf (at: number): string {
  return MONTHS[new Date(at).getUTCMonth()]!
}

function weekdayOf (at: number): string {
  return WEEKDAYS[new Date(at).getUTCDay()]!
}

/** How wide a text will be in a usual sans-serif, px, rather too much than too little: nothing can be measured here. */
export function textWidth (text: string, size: number): number {
  let ems = 0
  for (const char of text) {
    if (/[iljtfrI.,:;'|!()·\s]/.test(char)) ems += 0.37
    else if (/[mwMW%@—…]/.test(char)) ems += 0.95
    else if (/[A-Z&]/.test(char)) ems += 0.71
    else ems += char.codePointAt(0)! >= 0x2e80 ? 1.05 : 0.61
  }
  return ems * size
}

/** The text as it is, or as much of it as fits into `width` px with an ellipsis. */
export function clipText (text: string, size: number, width: number): string {
  if (textWidth(text, size) <= width) return text
  let kept = ''
  for (const char of text) {
    if (textWidth(`${kept}${char}…`, size) > width) break
    kept += char
  }
  return `${kept.trimEnd()}…`
}
