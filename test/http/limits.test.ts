import t from 'tap'
import { openCounts } from '../../src/http/limits.ts'

t.test('counts are each key\'s own, and all begin anew when the window ends', async t => {
  const count = openCounts(1_000)
  t.strictSame(['a', 'a', 'b', 'a'].map(key => count(key, 500)), [1, 2, 1, 3].map(requests => ({ requests, endsAt: 1_500 })))
  t.strictSame(count('a', 1_499), { requests: 4, endsAt: 1_500 })
  t.strictSame(count('a', 1_500), { requests: 1, endsAt: 2_500 })
})

t.test('of too many keys those longest unseen are forgotten, and whoever keeps asking is not', async t => {
  const count = openCounts(1_000, 100)
  count('once', 0)
  for (let i = 1; i <= 1_000; i++) {
    count(`other ${i}`, 0)
    t.equal(count('often', 0).requests, i)
  }
  t.equal(count('once', 0).requests, 1)
})
