import t from 'tap'
import { openLine } from '../../src/http/line.ts'

t.test('who waits is told oldest first, whoever left before and however often', async t => {
  const line = openLine<string>()
  const told = (until: number) => line.waitingSince(until).map(({ who }) => who)
  t.strictSame(told(9), [])
  const [a, b, c, d] = [line.join('a', 0), line.join('b', 1), line.join('c', 2), line.join('d', 3)]
  t.strictSame(told(2), ['a', 'b', 'c'])
  line.leave(b)
  line.leave(b)
  t.strictSame(told(9), ['a', 'c', 'd'])
  line.leave(a)
  line.leave(d)
  t.strictSame(told(9), ['c'])
  t.strictSame([a.before, a.after, d.before, d.after], [undefined, undefined, undefined, undefined], 'nobody who left leads to others')
  line.join('e', 5)
  line.leave(c)
  line.leave(a)
  t.strictSame(told(9), ['e'])
  for (const place of line.waitingSince(9)) line.leave(place)
  line.join('f', 6)
  t.strictSame(told(9), ['f'], 'an emptied line fills again')
})
