import fc from 'fast-check'
import t from 'tap'
import { predictHour } from '../../src/core/baseline.ts'
import { compareScopes, mostLikely, newScope, SCOPE_KINDS, standingOf, sumCells, type ScopeState, type SeenCell, type Standing } from '../../src/core/scan.ts'

const cell = (deviceClass: string, working: number, degraded: number, down: number, region = 'CA'): SeenCell =>
  ({ region, deviceClass, working, degraded, down })

const scopeOf = (deviceClass: string, y: number, m: number, value: number): ScopeState => {
  const state: ScopeState = newScope(deviceClass === '*' ? 'all' : 'device-class', { region: '*', deviceClass }, b => ({ ...predictHour(b, 0, 2), phi: 1 }), 0, 0)
  state.charts[0] = { value, start: 0, y, m, upper: m, w: 0, mw: 1 }
  return state
}

t.test('cells add up to scopes, half of degraded on either side; a country includes its subdivisions', async t => {
  const totals = sumCells([cell('ipad', 2, 1, 4), cell('mac', 0, 0, 1, 'CA-ON'), cell('ipad', 1, 0, 0, 'GB'), cell('phone', 0, 0, 0)])
  t.same([...totals.values()].sort(compareScopes).map(({ kind, key, y, w }) => [kind, key, y, w]), [
    ['all', '*|*', 5.5, 3.5],
    ['country', 'CA|*', 5.5, 2.5], ['country', 'GB|*', 0, 1],
    ['subdivision', 'CA-ON|*', 1, 0],
    ['device-class', '*|ipad', 4.5, 3.5], ['device-class', '*|mac', 1, 0],
    ['country-cell', 'CA|ipad', 4.5, 2.5], ['country-cell', 'CA|mac', 1, 0], ['country-cell', 'GB|ipad', 0, 1],
    ['subdivision-cell', 'CA-ON|mac', 1, 0]
  ])
})

t.test('the order of cells changes nothing', async t => {
  const cells = fc.array(fc.record({
    region: fc.constantFrom('CA', 'CA-ON', 'GB'), deviceClass: fc.constantFrom('a', 'b', 'c'), working: fc.nat(9), degraded: fc.nat(9), down: fc.nat(9)
  }))
  const sums = (list: SeenCell[]): unknown => [...sumCells(list).values()].sort(compareScopes)
  fc.assert(fc.property(cells, list => { t.same(sums(list), sums([...list].reverse())) }))
})

t.test('scopes stand by kind, then by slug', async t => {
  const scopes = ['mac', '*', 'ipad-wifi', 'ipad'].map(deviceClass => scopeOf(deviceClass, 0, 0, 0)).sort(compareScopes)
  t.same(scopes.map(({ key }) => key), ['*|*', '*|ipad', '*|ipad-wifi', '*|mac'])
  t.same(scopes[0]!.kind, SCOPE_KINDS[0])
})

t.test('a score is the best chart less the penalty, never below nothing', async t => {
  t.same(standingOf(scopeOf('*', 9, 1, 12), 2), { state: scopeOf('*', 9, 1, 12), chart: 0, score: 10 })
  t.equal(standingOf(scopeOf('*', 9, 1, 1), 2).score, 0)
  t.equal(standingOf(scopeOf('*', 5, 1, 12), -3).score, 0, 'a penalty below nothing gives the silent no score')
})

t.test('an alarm is about the scope whose run departs most from what was expected', async t => {
  const stand = (score: number, state: ScopeState): Standing => ({ state, chart: 0, score })
  const lnCount = (kind: string): number => kind === 'all' ? 0 : Math.log(4)
  // By hand: 40·ln(40/20) − 20 = 7.726; 30·ln(30/5) − 25 − ln 4 = 27.366; 31·ln 31 − 30 − ln 4 = 75.07, but it says little.
  const all = stand(9, scopeOf('*', 40, 20, 9))
  const ipad = stand(8, scopeOf('ipad', 30, 5, 8))
  const mac = stand(3, scopeOf('mac', 31, 1, 3))
  t.equal(mostLikely([all, ipad, mac], 3.52, lnCount), ipad)
  t.equal(mostLikely([all, mac], 3.52, lnCount), all)
  t.equal(mostLikely([stand(1, all.state), stand(2, ipad.state)], 3.52, lnCount)?.state, ipad.state, 'none is a candidate: the largest score')
  t.equal(mostLikely([stand(0, all.state)], 3.52, lnCount), null)
  t.equal(mostLikely([all, stand(9, scopeOf('a', 40, 20, 9))], 3.52, () => 0), all, 'a tie goes to the earlier')
})
