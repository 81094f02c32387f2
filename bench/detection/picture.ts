// The comparison as a standalone SVG: share of outages alarmed against minutes since onset, a line a detector.
import { darkStyle, escapeXml, fill, FONTS, round, stroke, write, type Colour } from '../../src/http/shapes.ts'
import type { Tally } from './scores.ts'

/** One detector's outages, and how its line is drawn. */
export interface PictureLine { name: string, kind: 'ours' | 'peer' | 'oracle', tally: Tally }

const WIDTH = 800
const HEIGHT = 484
const PLOT = { left: 56, right: 552, top: 92, bottom: 400 }
const MINUTES = 60
/** Least distance of the labels at the lines' ends, px. */
const LABEL_STEP = 19
const OURS: Colour[] = ['suspected', 'confirmed']
const PEERS: Colour[] = ['muted', 'degraded', 'vendor', 'down', 'muted']
/** Peers whose colour repeats are dotted, so that no two lines look alike. */
const DOTS = ['', '', '', '', '1 4']

/** Shares of outages alarmed within 0, 1, … 60 minutes of their onset. */
export function sharesByMinute ({ outcomes }: Tally): number[] {
  return Array.from({ length: MINUTES + 1 }, (_, minute) =>
    outcomes.filter(({ delayMin }) => delayMin !== null && delayMin <= minute).length / outcomes.length)
}

/** `note` stands below, in words. Lines in any order; ours are drawn last. */
export function drawDetection (lines: readonly PictureLine[], note: string): string {
  let [ours, peers] = [0, 0]
  const drawn = lines.map(({ name, kind, tally }) => {
    const shares = sharesByMinute(tally)
    const index = kind === 'ours' ? ours++ : kind === 'peer' ? peers++ : 0
    const colour: Colour = kind === 'oracle' ? 'ink' : kind === 'ours' ? OURS[index % OURS.length]! : PEERS[index % PEERS.length]!
    const dashes = kind === 'oracle' ? '7 5' : kind === 'peer' ? DOTS[index % DOTS.length]! : ''
    return { name, kind, colour, dashes, shares, width: kind === 'ours' ? 3.5 : kind === 'peer' ? 1.8 : 1.6 }
  })
  const ends = spread(drawn.map(({ shares }) => yOf(shares.at(-1)!)))
  const order = drawn.map((line, index) => ({ ...line, label: ends[index]! })).sort((a, b) => a.width - b.width)
  const parts = [
    write(20, 34, 'How soon an outage is seen', 'ink', 'font-size="20" font-weight="700"'),
    write(20, 57, `Share of ${lines[0]!.tally.outcomes.length} simulated outages with an alarm, by minutes since onset`, 'muted', 'font-size="14"'),
    drawAxes(),
    ...order.map(({ shares, colour, width, dashes }) => `<path d="${pathOf(shares)}" fill="none" ${stroke(colour)} stroke-width="${width}" stroke-linejoin="round"${dashes === '' ? '' : ` stroke-dasharray="${dashes}" stroke-linecap="round"`}/>`),
    ...order.map(({ name, kind, colour, shares, label }) => drawLabel(name, kind, colour, shares.at(-1)!, label)),
    write(20, HEIGHT - 16, note, 'muted', 'font-size="12"')
  ]
  const words = drawn.map(({ name, shares }) => `${name} ${percent(shares[10]!)} within 10 minutes, ${percent(shares.at(-1)!)} within an hour`).join('; ')
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gsw" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="${FONTS}" font-size="13">` +
    `<title>How soon an outage is seen</title><desc>${escapeXml(`${words}.`)}</desc><style>${darkStyle()}</style>` +
    `<rect width="${WIDTH}" height="${HEIGHT}" ${fill('paper')}/>${parts.join('')}</svg>\n`
}

function drawAxes (): string {
  const levels = [0, 0.2, 0.4, 0.6, 0.8, 1].map(share =>
    `<path d="M${PLOT.left} ${yOf(share)}H${PLOT.right}" ${stroke(share === 0 ? 'muted' : 'grid')}/>` +
    write(PLOT.left - 8, yOf(share) + 4.5, percent(share), 'muted', 'text-anchor="end"'))
  const minutes = [0, 10, 20, 30, 40, 50, 60].map(minute =>
    `<path d="M${xOf(minute)} ${PLOT.bottom}v5" ${stroke('muted')}/>` + write(xOf(minute), PLOT.bottom + 20, String(minute), 'muted', 'text-anchor="middle"'))
  return [...levels, ...minutes, write((PLOT.left + PLOT.right) / 2, PLOT.bottom + 38, 'minutes since onset', 'muted', 'text-anchor="middle"')].join('')
}

/** A line's name at its end, with a lead where it had to give way. */
function drawLabel (name: string, kind: PictureLine['kind'], colour: Colour, share: number, y: number): string {
  const bold = kind === 'ours' ? 'font-weight="700"' : ''
  const x = PLOT.right + 22
  return `<path d="M${PLOT.right + 2} ${round(yOf(share))}L${x - 5} ${round(y)}" fill="none" ${stroke(colour)} stroke-opacity="0.6"/>` +
    write(x + 32, y + 4.5, percent(share), 'muted', 'text-anchor="end"') +
    write(x + 40, y + 4.5, name, kind === 'peer' && colour === 'degraded' ? 'ink' : colour, bold)
}

/** Heights moved apart to `LABEL_STEP`, kept in their order and as near as may be to where they were. */
export function spread (heights: readonly number[]): number[] {
  const order = heights.map((_, index) => index).sort((a, b) => heights[a]! - heights[b]!)
  const groups: { members: number[], centre: number }[] = []
  for (const index of order) {
    let group = { members: [index], centre: heights[index]! }
    for (let last = groups.at(-1); last !== undefined && bottomOf(last) + LABEL_STEP > topOf(group); last = groups.at(-1)) {
      groups.pop()
      const members: number[] = [...last.members, ...group.members]
      group = { members, centre: members.reduce((sum, member) => sum + heights[member]!, 0) / members.length }
    }
    groups.push(group)
  }
  const placed = Array<number>(heights.length)
  for (const group of groups) group.members.forEach((member, place) => { placed[member] = topOf(group) + place * LABEL_STEP })
  return placed
}

function topOf ({ members, centre }: { members: number[], centre: number }): number {
  return centre - (members.length - 1) / 2 * LABEL_STEP
}

function bottomOf ({ members, centre }: { members: number[], centre: number }): number {
  return centre + (members.length - 1) / 2 * LABEL_STEP
}

function pathOf (shares: readonly number[]): string {
  return shares.map((share, minute) => `${minute === 0 ? 'M' : 'L'}${round(xOf(minute))} ${round(yOf(share))}`).join('')
}

function xOf (minute: number): number {
  return PLOT.left + minute / MINUTES * (PLOT.right - PLOT.left)
}

function yOf (share: number): number {
  return PLOT.bottom - share * (PLOT.bottom - PLOT.top)
}

function percent (share: number): string {
  return `${Math.round(share * 100)}%`
}
