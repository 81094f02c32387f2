// The figures for people: one row a detector, and the same by how busy a service is.
import { addTallies, figuresOf, rateError, shareError, type Figures, type Tally } from './scores.ts'

/** One detector's tallies, by the service's rate of down reports a minute, on quiet streams and on those with events. */
export interface Row { name: string, kind: 'ours' | 'peer' | 'oracle', quiet: Map<number, Tally[]>, eventful: Map<number, Tally[]> }

/** Groups of services by down reports a minute. */
export const GROUPS = [
  { name: 'sparse: 0.01–0.03', holds: (rate: number) => rate <= 0.03 },
  { name: 'middling: 0.1–1', holds: (rate: number) => rate > 0.03 && rate <= 1 },
  { name: 'busy: 3–50', holds: (rate: number) => rate > 1 }
]

const share = (value: number): string => Number.isNaN(value) ? '–' : value.toFixed(2).replace(/^0/, '')
const number = (digits: number) => (value: number): string => Number.isNaN(value) ? '–' : value.toFixed(digits)

/** The sum of a row's tallies over the rates that belong. */
export function sumOf (tallies: Map<number, Tally[]>, holds: (rate: number) => boolean = () => true): Tally {
  return addTallies([...tallies].filter(([rate]) => holds(rate)).flatMap(([, found]) => found))
}

/** Mean delay over the oracle's. */
function overOracle (figures: Figures, oracle: Figures): number {
  return figures.meanDelayMin / oracle.meanDelayMin
}

/** Markdown tables of all rows; the oracle's row is needed, last or not. */
export function tables (rows: readonly Row[]): string {
  const oracleRow = rows.find(({ kind }) => kind === 'oracle')!
  const oracle = figuresOf(sumOf(oracleRow.eventful))
  const all = rows.map(({ name, kind, quiet, eventful }) => {
    const figures = figuresOf(sumOf(eventful))
    const isOracle = kind === 'oracle'
    return [
      name,
      number(2)(figuresOf(sumOf(quiet)).falseAlarmsPerMonth),
      isOracle ? '–' : number(2)(figures.falseAlarmsPerMonth),
      ...[figures.within[5], figures.within[10], figures.within[30], figures.detected].map(share),
      number(0)(figures.medianDelayMin),
      number(2)(overOracle(figures, oracle)),
      share(figures.rightScope),
      number(0)(figures.onsetErrorMin),
      share(figures.onsetCovered),
      isOracle ? '–' : share(figures.rumours),
      isOracle ? '–' : share(figures.fakes)
    ]
  })
  const grouped = rows.map(({ name, quiet, eventful }) => [name, ...GROUPS.flatMap(({ holds }) => {
    const figures = figuresOf(sumOf(eventful, holds))
    const calm = sumOf(quiet, holds)
    return [
      `${number(2)(figuresOf(calm).falseAlarmsPerMonth)} ± ${number(2)(rateError(calm))}`,
      `${share(figures.within[10])} ± ${share(shareError(figures.within[10], figures.outages))}`,
      share(figures.detected),
      number(2)(overOracle(figures, figuresOf(sumOf(oracleRow.eventful, holds))))
    ]
  })])
  const quietTally = sumOf(oracleRow.quiet)
  return [
    table(['', 'FAq', 'FA', 'P5', 'P10', 'P30', 'PoD', 'median', 'x-or', 'scope', 'onset ±', 'covered', 'rumours', 'fakes'], all),
    `${oracle.outages} outages. FAq: alarms a month of a service to which nothing happens (${quietTally.months.toFixed(0)} months), FA: between events.`,
    'P5, P10, P30: share of outages alarmed within so many minutes; PoD: before their end. Median: delay of those, minutes.',
    'x-or: mean delay (at most an hour) over the oracle\'s. Scope: right five minutes after the alarm. Onset ±: its median error,',
    'minutes; covered: share of onsets within the told interval. Rumours, fakes (brigades and sybils): share that raised an alarm.',
    `Standard errors: ${shareError(0.3, oracle.outages).toFixed(3)} on shares, ${(Math.sqrt(quietTally.months) / quietTally.months).toFixed(1)} on FAq.`,
    '',
    table(['', ...GROUPS.flatMap(({ name }) => [`${name}: FAq`, 'P10', 'PoD', 'x-or'])], grouped)
  ].join('\n')
}

function table (head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map(row => row[column]!.length)))
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join(' | ')} |`
  return [line(head), `|${widths.map((width, column) => column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`).join('|')}|`, ...rows.map(line)].join('\n') + '\n'
}
