// Our detector over one simulated stream, as the job runs it: networks are asked for, a cold start, the default expectation.
import { advance, decide, NETWORKS_MIN, newDetector, type Claim, type SeenCell } from '../../src/core/detector.ts'
import { MINUTE_MS } from '../../src/core/time.ts'
import { ALL, countryOf, scopeKey, type Scope } from '../../src/core/vocabulary.ts'
import type { Alarm } from './scores.ts'
import { CELLS, START, type Stream } from './streams.ts'

/** What a service is created with, unless a moderator says otherwise. */
const EXPECTED_PER_HOUR = 2

/** One alarm an outage, at two moments of its life. */
export interface OurAlarms { suspected: Alarm[], confirmed: Alarm[] }

/** Judges every minute of a stream. */
export function judgeStream (stream: Stream): OurAlarms {
  const state = newDetector(EXPECTED_PER_HOUR, 1)
  const suspected: Alarm[] = []
  const confirmed: Alarm[] = []
  const nobody: ReadonlySet<string> = new Set()
  let scopes: { at: number, scope: Scope }[] = []
  for (let minute = 0; minute < stream.minutes; minute++) {
    const start = START + minute * MINUTE_MS
    const { claims } = advance(state, { start, watched: stream.watched[minute] === 1, cells: cellsAt(stream, minute) })
    const isAsked = claims.length > 0 && state.outage?.figures.confirmedAt == null
    const withheld = isAsked ? new Set(claims.filter(claim => networksBehind(stream, claim) < NETWORKS_MIN).map(({ scope }) => scopeKey(scope))) : nobody
    const { transitions, outage } = decide(state, withheld)
    for (const { type, at, scope } of transitions) {
      if (type === 'suspected') scopes = []
      scopes.push({ at, scope })
      const isFirst = type === 'confirmed' && outage?.confirmedAt === at && confirmed.at(-1)?.scopes !== scopes
      if (type !== 'suspected' && !isFirst) continue
      const onset = outage === null ? {} : { onset: { at: outage.onsetAt, from: outage.onsetFrom, to: outage.onsetTo } }
      const alarms = type === 'suspected' ? suspected : confirmed
      alarms.push({ at, scopes, ...onset })
    }
  }
  return { suspected, confirmed }
}

function cellsAt ({ regions, devices, down, working }: Stream, minute: number): SeenCell[] {
  const cells: SeenCell[] = []
  for (let cell = 0; cell < CELLS; cell++) {
    const at = minute * CELLS + cell
    if (down[at] === 0 && working[at] === 0) continue
    cells.push({
      region: regions[Math.floor(cell / devices.length)]!,
      deviceClass: devices[cell % devices.length]!,
      working: working[at]!,
      degraded: 0,
      down: down[at]!
    })
  }
  return cells
}

/** Networks of the down reports behind a claim, counted no further than needed: a sincere voice has one of its own. */
function networksBehind (stream: Stream, { scope, since, until }: Claim): number {
  const { regions, devices, down, fakes } = stream
  const [from, to] = [(since - START) / MINUTE_MS, (until - START) / MINUTE_MS]
  const cells = Array.from({ length: CELLS }, (_, cell) => cell).filter(cell => {
    const region = regions[Math.floor(cell / devices.length)]!
    return (scope.region === ALL || scope.region === region || scope.region === countryOf(region)) &&
      (scope.deviceClass === ALL || scope.deviceClass === devices[cell % devices.length])
  })
  let networks = 0
  for (const { minute, cell, networks: brought } of fakes) {
    if (minute >= from && minute < to && cells.includes(cell)) networks += brought - 1
  }
  for (let minute = to - 1; minute >= from && networks < NETWORKS_MIN; minute--) {
    for (const cell of cells) networks += down[minute * CELLS + cell]!
  }
  return networks
}
