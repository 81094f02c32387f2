import t from 'tap'
import { advance, decide, newDetector, type DetectorState, type OutageFigures, type SeenCell, type Transition } from '../../src/core/detector.ts'
import { wordsFor } from '../../src/core/words.ts'
import { MINUTE_MS } from '../../src/core/time.ts'

const START = Date.parse('2026-03-02T10:00:00Z')
const LEARNT_MINUTES = 6 * 1440
/** What a learnt quiet service has, by minute: one report in five minutes on each of two devices. */
const usual = (i: number): SeenCell[] => i % 5 === 0
  ? ['ipad-wifi', 'iphone'].map(deviceClass => ({ region: 'CA', deviceClass, working: 1, degraded: 0, down: 1 }))
  : []

/** A service that has learnt six days of `usual`, as text, so that each test begins with its own copy. */
function learnt (): string {
  const state = newDetector(24, 1)
  for (let i = 0; i < LEARNT_MINUTES; i++) {
    advance(state, { start: START + i * MINUTE_MS, watched: true, cells: usual(i) })
    decide(state, new Set())
  }
  return JSON.stringify(state)
}

const LEARNT = learnt()

interface Story { state: DetectorState, said: Transition[], figures: OutageFigures | null, all: (OutageFigures | null)[] }

/** Plays minutes of down reports by device on top of what is usual. */
function play (minutes: readonly Partial<Record<string, number>>[]): Story {
  const state = JSON.parse(LEARNT) as DetectorState
  const said: Transition[] = []
  const all: (OutageFigures | null)[] = []
  minutes.forEach((counts, i) => {
    const cells = Object.entries(counts).map(([deviceClass, down = 0]) => ({ region: 'CA', deviceClass, working: 0, degraded: 0, down }))
    advance(state, { start: minuteAt(i), watched: true, cells: [...usual(LEARNT_MINUTES + i), ...cells] })
    const decision = decide(state, new Set())
    said.push(...decision.transitions)
    all.push(decision.outage)
  })
  return { state, said, figures: all.at(-1) ?? null, all }
}

const NAMES = { region: (code: string) => code === 'CA' ? 'Canada' : code, deviceClass: (slug: string) => slug === 'iphone' ? 'an iPhone' : slug }
const minuteAt = (i: number): number => START + (LEARNT_MINUTES + i) * MINUTE_MS
const minutes = (count: number, counts: Partial<Record<string, number>>): Partial<Record<string, number>>[] => Array<typeof counts>(count).fill(counts)
const types = ({ said }: Story): string[] => said.map(({ type }) => type)

t.test('an outage is suspected, confirmed, recovers and is resolved', async t => {
  const story = play([...minutes(30, { 'ipad-wifi': 2, iphone: 2 }), ...minutes(120, {})])
  t.same(types(story), ['suspected', 'confirmed', 'recovering', 'resolved'])
  t.same(story.said.map(({ state }) => state), ['suspected', 'confirmed', 'recovering', 'resolved'])
  t.equal(story.state.outage, null)
  const closed = story.all.find(figures => figures?.state === 'resolved')!
  const [suspected, confirmed, recovering, resolved] = story.said.map(({ at }) => at)
  t.match(closed, { detectedAt: suspected, confirmedAt: confirmed, recoveringAt: recovering, resolvedAt: resolved, dismissedAt: null })
  t.ok(suspected! <= minuteAt(10) && resolved! > minuteAt(30) && resolved! < minuteAt(90))
  t.equal(story.figures, null, 'nothing is open after it closed')
})

t.test('evidence that is spent does not alarm again', async t => {
  const story = play([...minutes(40, { iphone: 6 }), ...minutes(600, {})])
  t.equal(types(story).filter(type => type === 'suspected').length, 1)
  t.ok(story.state.scopes.every(({ charts }) => charts.every(({ value }) => value < 5)))
})

t.test('an alarm that was never confirmed is dismissed', async t => {
  // Reports stop at the very minute of the alarm, so that nothing confirms it.
  const burst = [...Array(40).keys()].find(count => {
    const { said } = play([...minutes(count, { iphone: 1 }), {}])
    return said.length > 0
  })!
  const story = play([...minutes(burst, { iphone: 1 }), ...minutes(200, {})])
  t.same(types(story), ['suspected', 'dismissed'])
  const closed = story.all.find(figures => figures?.state === 'dismissed')!
  t.equal(closed.confirmedAt, null)
  t.equal(closed.dismissedAt, story.said[1]!.at)
})

t.test('reports that rise again take a recovery back', async t => {
  const first = play([...minutes(30, { iphone: 8 }), ...minutes(200, {})])
  const calmAfter = (first.said.find(({ type }) => type === 'recovering')!.at - minuteAt(30)) / MINUTE_MS
  const story = play([...minutes(30, { iphone: 8 }), ...minutes(calmAfter, {}), ...minutes(20, { iphone: 8 }), ...minutes(200, {})])
  t.same(types(story), ['suspected', 'confirmed', 'recovering', 'confirmed', 'recovering', 'resolved'])
  const back = story.said[3]!
  t.ok(back.again)
  t.match(wordsFor(back, NAMES), /rise again/)
  t.equal(story.all.find((_, i) => minuteAt(i + 1) === back.at)!.recoveringAt, null)
})

t.test('where nobody is used to report, six watched hours of silence end an outage, and a gap is not silence', async t => {
  const state = newDetector(2, 1)
  const said: Transition[] = []
  const play = (from: number, count: number, down: number, watched = true): void => {
    for (let i = from; i < from + count; i++) {
      const cells = down === 0 ? [] : [{ region: 'CA', deviceClass: 'iphone', working: 0, degraded: 0, down }]
      advance(state, { start: START + i * MINUTE_MS, watched, cells })
      said.push(...decide(state, new Set()).transitions)
    }
  }
  play(0, 5 * 1440, 0)
  play(5 * 1440, 30, 2)
  t.same(said.map(({ type }) => type), ['suspected', 'confirmed'])
  play(5 * 1440 + 30, 300, 0)
  play(5 * 1440 + 330, 600, 0, false)
  t.not(state.outage, null)
  play(5 * 1440 + 930, 59, 0)
  t.not(state.outage, null)
  play(5 * 1440 + 989, 1, 0)
  t.equal(state.outage, null)
  t.same(said.slice(2).map(({ type }) => type), ['recovering', 'resolved'])
})

t.test('one wide window may suspect and confirm at once, without skipping a state', async t => {
  const state = newDetector(2, 15)
  const said: Transition[] = []
  for (let i = 0; i < 40; i++) {
    const cells = i === 20 ? [{ region: 'ZZ', deviceClass: 'unknown', working: 0, degraded: 0, down: 300 }] : []
    advance(state, { start: START + i * 15 * MINUTE_MS, watched: true, cells })
    said.push(...decide(state, new Set()).transitions)
  }
  t.same(said.map(({ type }) => type), ['suspected', 'confirmed', 'recovering', 'resolved'])
  t.equal(said[0]!.at, said[1]!.at)
})

t.test('the scope follows whom it hits while reports last, and the timeline says so', async t => {
  const story = play([...minutes(15, { iphone: 3 }), ...minutes(60, { iphone: 3, 'ipad-wifi': 12 })])
  t.same(story.said[0]!.scope, { region: '*', deviceClass: 'iphone' })
  const moved = story.said.find(({ type }) => type === 'moved')!
  t.equal(moved.state, 'confirmed')
  t.not(moved.scope.deviceClass, 'iphone')
  t.match(wordsFor(moved, NAMES), /^Reports now stand out/)
  t.ok(story.all.every(figures => figures === null || figures.onsetAt <= figures.detectedAt))
})

t.test('the onset is the start of the run, and lies in its interval', async t => {
  const story = play([...minutes(20, {}), ...minutes(30, { iphone: 3 })])
  const { onsetAt, onsetFrom, onsetTo, detectedAt } = story.figures!
  t.ok(onsetFrom <= onsetAt && onsetAt <= onsetTo && onsetTo < detectedAt)
  t.ok(onsetFrom <= minuteAt(20) && minuteAt(20) <= onsetTo, 'the interval holds the true onset')
  t.ok(Math.abs(onsetAt - minuteAt(20)) <= 10 * MINUTE_MS)
})

t.test('severity is the peak\'s ratio, from 1 to 100, and never falls', async t => {
  const story = play([...minutes(60, { iphone: 5 }), ...minutes(20, {})])
  const severities = story.all.flatMap(figures => figures === null ? [] : [figures.severity])
  t.ok(severities.every((severity, i) => severity >= (severities[i - 1] ?? 1) && severity <= 100))
  t.equal(play(minutes(30, { iphone: 500 })).figures!.severity, 100)
})

t.test('the peak is the window with the most reports since the alarm', async t => {
  const story = play([...minutes(20, { iphone: 5 }), { iphone: 19 }, ...minutes(5, { iphone: 5 })])
  const { peak } = story.figures!
  t.equal(peak.start, minuteAt(20))
  t.equal(peak.down, story.figures!.scope.deviceClass === '*' ? 21 : 20)
  t.ok(peak.expected > 0 && peak.expected < 1)
})

t.test('the words count people and claim nothing', async t => {
  const story = play([...minutes(30, { iphone: 5 }), ...minutes(200, {})])
  t.match(wordsFor(story.said[0]!, NAMES), /^\d+ people say it fails where (fewer than one is|one is|\d+ are) usual at this hour; an iPhone most of all\.$/)
  for (const transition of story.said) {
    const { reading } = transition
    t.notMatch(wordsFor(transition, NAMES), /\b(is|are) down\b/)
    t.ok(reading.down >= 0 && reading.expected > 0 && reading.bound >= reading.expected && Number.isFinite(reading.score))
    t.match(reading.chart, /^(count×(1\.5|3|10|100)|share×(2|5|20))$/)
  }
})
