import t from 'tap'
import { drawDetection, sharesByMinute, spread, type PictureLine } from '../../bench/detection/picture.ts'
import { emptyTally, type Tally } from '../../bench/detection/scores.ts'

const tallyOf = (...delays: (number | null)[]): Tally =>
  ({ ...emptyTally(), outcomes: delays.map(delayMin => ({ delayMin, rightScope: null, onsetErrorMin: null, onsetCovered: null })) })

t.test('a line is the share alarmed within each minute, late ones left out', async t => {
  const shares = sharesByMinute(tallyOf(1, 10, 10, 61, null))
  t.same([shares.length, shares[0], shares[1], shares[9], shares[10], shares[60]], [61, 0, 0.2, 0.2, 0.6, 0.6])
})

t.test('labels keep their order and a line\'s height between them', async t => {
  t.same(spread([100, 300]), [100, 300])
  t.same(spread([105, 100]), [112, 93])
  const placed = spread([50, 60, 61, 62, 200, 63])
  const sorted = [...placed].sort((a, b) => a - b)
  for (let i = 1; i < sorted.length; i++) t.ok(sorted[i]! - sorted[i - 1]! > 18.999, placed.join(', '))
  t.equal(placed[4], 200)
})

t.test('the picture says in words what it shows, and escapes names', async t => {
  const lines: PictureLine[] = [
    { name: 'ours', kind: 'ours', tally: tallyOf(5, 7, 50, null) },
    { name: 'a & b', kind: 'peer', tally: tallyOf(20, null, null, null) },
    { name: 'oracle', kind: 'oracle', tally: tallyOf(1, 2, 3, 4) }
  ]
  const svg = drawDetection(lines, 'A note.')
  t.match(svg, 'Share of 4 simulated outages')
  t.match(svg, '<desc>ours 50% within 10 minutes, 75% within an hour; a &amp; b 0% within 10 minutes, 25% within an hour; oracle 100% within 10 minutes, 100% within an hour.</desc>')
  t.match(svg, 'prefers-color-scheme:dark')
  t.equal(svg.match(/<path d="M[^"]*L[^"]*" fill="none" [^>]*stroke-width/g)?.length, 3, 'a path a line')
  t.match(svg, 'stroke-dasharray="7 5"')
  t.notMatch(svg, 'NaN')
})
