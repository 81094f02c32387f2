// How a picture is written down: colours, text, and the paths of bars, areas and lines. What they show is pictures.ts' own.

/**
 * Each colour in light and dark, of Okabe and Ito's pairing of blues with oranges (jfly.uni-koeln.de/color, 2008),
 * which all kinds of colour blindness tell apart. Text holds 4.5:1 and marks 3:1 on the paper (WCAG 2.2, 1.4.3 and 1.4.11).
 */
export const COLOURS = {
  paper: ['#fffefb', '#15191f'],
  ink: ['#1c2128', '#eceae4'],
  muted: ['#5a636e', '#a9b1bc'],
  grid: ['#dde1e6', '#303742'],
  down: ['#0b4a78', '#7cc0f2'],
  degraded: ['#4a96cb', '#3f7fb4'],
  suspected: ['#bd7400', '#d9a441'],
  suspectedTint: ['#fdf4e0', '#2a261a'],
  confirmed: ['#a63a00', '#f08a4b'],
  confirmedTint: ['#fce4d0', '#3a261b'],
  dismissedTint: ['#eceef1', '#242a33'],
  vendor: ['#7a2a78', '#dc9bd9']
} as const
/** A colour by its use. */
export type Colour = keyof typeof COLOURS

/** Whatever the reader's system sets its own pages in: nothing is loaded. */
export const FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"
/** Wider bars would stand like walls, px. */
const BAR_MAX = 64
/** What has a moment's length is still seen, px. */
const MARK_MIN = 2

/** Attributes of a text that stands over marks: paper around its letters. */
export const HALO = `${stroke('paper')} stroke-width="3.5" stroke-linejoin="round" paint-order="stroke"`
/** The hatchings of what nobody watched and of what is still open; equal in every picture, so they may meet in one page. */
export const PATTERNS = '<defs>' +
  `<pattern id="gsw-gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" ${fill('paper')}/><path d="M1 0V6" ${stroke('muted')} stroke-opacity="0.5" stroke-width="1.2"/></pattern>` +
  `<pattern id="gsw-open" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect width="4" height="4" ${fill('paper')}/><path d="M1 0V4" ${stroke('down')} stroke-width="1.5"/></pattern></defs>`

/** A band of the picture from top to bottom, px. */
export interface Box { top: number, bottom: number }

/** One window as drawn: its sides, and the heights from which and to which it is filled, px. */
export interface Cell { x0: number, x1: number, low: number, high: number }

/** Each span from side to side as a rectangle of the box, none too thin to be seen. */
export function rectangles (spans: readonly (readonly [number, number])[], { top, bottom }: Box): string {
  return spans.map(([x0, x1]) => `M${round(x0)} ${round(bottom)}V${round(top)}H${round(Math.max(x1, x0 + MARK_MIN))}V${round(bottom)}Z`).join('')
}

/** The sides of the bar in a cell from `left` to `right`: with air between neighbours, and never wider than BAR_MAX. */
export function barOf (left: number, right: number): { x0: number, x1: number } {
  const inset = Math.max(Math.min(0.75, (right - left) / 10), (right - left - BAR_MAX) / 2)
  return { x0: left + inset, x1: right - inset }
}

/** Each cell as a bar of its own. */
export function bars (cells: readonly (Cell | null)[]): string {
  return cells.filter(cell => cell !== null).map(({ low, high, ...cell }) => {
    const { x0, x1 } = barOf(cell.x0, cell.x1)
    return `M${round(x0)} ${round(low)}V${round(high)}H${round(x1)}V${round(low)}Z`
  }).join('')
}

/** Neighbouring cells as one area from the floor of the first to the heights of all. */
export function area (cells: readonly (Cell | null)[]): string {
  return runs(cells).map(run => `M${round(run[0]!.x0)} ${round(run[0]!.low)}${steps(run)}V${round(run[0]!.low)}Z`).join('')
}

/** The heights of neighbouring cells as an open line of steps. */
export function outline (cells: readonly (Cell | null)[]): string {
  return runs(cells).map(run => `M${round(run[0]!.x0)} ${round(run[0]!.high)}${steps(run).replace(/^V[^H]+/, '')}`).join('')
}

function runs (cells: readonly (Cell | null)[]): Cell[][] {
  const found: Cell[][] = []
  cells.forEach((cell, index) => {
    if (cell === null) return
    if ((cells[index - 1] ?? null) === null) found.push([])
    found.at(-1)!.push(cell)
  })
  return found
}

function steps (run: readonly Cell[]): string {
  const levels = run.map(({ high }) => round(high))
  return run.map(({ x1 }, index) => (levels[index - 1] === levels[index] ? '' : `V${levels[index]}`) +
    (levels[index + 1] === levels[index] ? '' : `H${round(x1)}`)).join('')
}

/** The attribute that fills with a colour. */
export function fill (colour: Colour): string {
  return `fill="${COLOURS[colour][0]}"`
}

/** The attribute that draws with a colour. */
export function stroke (colour: Colour): string {
  return `stroke="${COLOURS[colour][0]}"`
}

/** Each light colour answers for its dark one: the attribute itself is what the rule selects. */
export function darkStyle (): string {
  const rules = Object.values(COLOURS).flatMap(([light, dark]) => ['fill', 'stroke'].map(what => `.gsw [${what}="${light}"]{${what}:${dark}}`))
  return `@media screen and (prefers-color-scheme:dark){${rules.join('')}}`
}

/** A line of text at its baseline, escaped. */
export function write (x: number, y: number, text: string, colour: Colour, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${fill(colour)}${attributes === '' ? '' : ` ${attributes}`}>${escapeXml(text)}</text>`
}

/** Tenths of a pixel: finer cannot be seen, and would be longer. */
export function round (value: number): number {
  return Math.round(value * 10) / 10
}

/** Text for XML 1.0 (§2.2, §2.4): a character that the language cannot hold becomes U+FFFD. */
export function escapeXml (text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
