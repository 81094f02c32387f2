import t from 'tap'
import { addTallies, figuresOf, median, rateError, scoreStream, shareError, type Alarm, type Truth } from '../../bench/detection/scores.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const EVERYWHERE = { region: '*', deviceClass: '*' }
const DAY: Truth = { from: 0, to: 24 * HOUR, outages: [], distractions: [] }

t.test('an outage is detected by the first alarm within it, and only by one raised within it', async t => {
  const truth = { ...DAY, outages: [{ onset: 10 * HOUR, end: 11 * HOUR, scope: EVERYWHERE }] }
  const delayOf = (...alarms: number[]): number | null => scoreStream(truth, alarms.map(at => ({ at }))).outcomes[0]!.delayMin
  t.equal(delayOf(10 * HOUR + 7 * MINUTE, 10 * HOUR + 3 * MINUTE), 3)
  t.equal(delayOf(11 * HOUR), 60)
  t.equal(delayOf(10 * HOUR), null, 'raised with the last window before the onset')
  t.equal(delayOf(11 * HOUR + MINUTE), null)
  t.equal(delayOf(), null)
})

t.test('alarms are false outside of events and the hour after them, over the months that are left', async t => {
  const truth: Truth = {
    ...DAY,
    outages: [{ onset: 2 * HOUR, end: 3 * HOUR, scope: EVERYWHERE }, { onset: 3 * HOUR, end: 5 * HOUR, scope: EVERYWHERE }],
    distractions: [{ kind: 'rumour', onset: 23 * HOUR, end: 24 * HOUR }, { kind: 'sybil', onset: 12 * HOUR, end: 13 * HOUR }]
  }
  const tally = scoreStream(truth, [1, 2.5, 5.5, 6, 6.5, 13.5, 18, 30].map(hour => ({ at: hour * HOUR })))
  t.equal(tally.falseAlarms, 3, 'at 1, 6.5 and 18 o\'clock')
  t.ok(Math.abs(tally.months * 30 * 24 - 17) < 1e-9, 'a day less four, two and one hour')
  t.same(tally.distractions, { rumour: { raised: 0, total: 1 }, brigade: { raised: 0, total: 0 }, sybil: { raised: 1, total: 1 } })
})

t.test('outages and alarms outside of what is scored are passed over', async t => {
  const truth: Truth = { ...DAY, from: 12 * HOUR, outages: [{ onset: 2 * HOUR, end: 3 * HOUR, scope: EVERYWHERE }] }
  const tally = scoreStream(truth, [{ at: 2.5 * HOUR }, { at: 4 * HOUR }])
  t.same([tally.outcomes.length, tally.falseAlarms, tally.months], [0, 0, 12 / 24 / 30])
})

t.test('the scope counts five minutes after the alarm, a country for its only subdivision', async t => {
  const onset = 10 * HOUR
  const rightScope = (scope: Truth['outages'][number]['scope'], ...scopes: NonNullable<Alarm['scopes']>): boolean | null =>
    scoreStream({ ...DAY, outages: [{ onset, end: 11 * HOUR, scope }] }, [{ at: onset + MINUTE, scopes }]).outcomes[0]!.rightScope
  const device = { region: '*', deviceClass: 'iphone' }
  t.equal(rightScope(device, { at: onset + MINUTE, scope: EVERYWHERE }, { at: onset + 6 * MINUTE, scope: device }), true)
  t.equal(rightScope(device, { at: onset + MINUTE, scope: EVERYWHERE }, { at: onset + 7 * MINUTE, scope: device }), false)
  t.equal(rightScope({ region: 'US-CA', deviceClass: '*' }, { at: onset + MINUTE, scope: { region: 'US', deviceClass: '*' } }), true)
  t.equal(rightScope(EVERYWHERE, { at: onset + MINUTE, scope: { region: 'US', deviceClass: '*' } }), false)
  t.equal(rightScope(device), null)
})

t.test('figures of tallies that were added are those of all their outages', async t => {
  const onset = 10 * HOUR
  const truth = { ...DAY, outages: [{ onset, end: 13 * HOUR, scope: EVERYWHERE }] }
  const told = (at: number, from: number, to: number): Alarm['onset'] => ({ at: onset + at * MINUTE, from: onset + from * MINUTE, to: onset + to * MINUTE })
  const figures = figuresOf(addTallies([
    scoreStream(truth, [{ at: onset + 4 * MINUTE, onset: told(-3, -5, 0)! }]),
    scoreStream(truth, [{ at: onset + 10 * MINUTE, onset: told(8, 2, 8)! }]),
    scoreStream(truth, [{ at: onset + 100 * MINUTE }, { at: HOUR }]),
    scoreStream(truth, [])
  ]))
  t.same(figures.within, { 5: 0.25, 10: 0.5, 30: 0.5 })
  t.same([figures.outages, figures.detected, figures.medianDelayMin, figures.meanDelayMin], [4, 0.75, 10, (4 + 10 + 60 + 60) / 4])
  t.same([figures.onsetErrorMin, figures.onsetCovered], [5.5, 0.5])
  t.equal(figures.falseAlarmsPerMonth, 1 / (4 * 20 / 24 / 30))
  t.ok(Number.isNaN(figures.rightScope) && Number.isNaN(figures.rumours), 'nothing to count')
})

t.test('medians and standard errors', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.ok(Number.isNaN(median([])))
  t.equal(shareError(0.5, 100), 0.05)
  t.equal(rateError({ outcomes: [], falseAlarms: 16, months: 8, distractions: { rumour: { raised: 0, total: 0 }, brigade: { raised: 0, total: 0 }, sybil: { raised: 0, total: 0 } } }), 0.5)
})
