import t from 'tap'
import { countsWith, logUniform, newRandom, normal, shuffled, weighted, whole, type Random } from '../../bench/detection/random.ts'

const draws = (random: Random, count: number, draw: (random: Random) => number): number[] => Array.from({ length: count }, () => draw(random))

function momentsOf (values: readonly number[]): { mean: number, variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) }
}

t.test('equal keys give the same chance, other keys another', async t => {
  const first = draws(newRandom(1, 2, 3), 100, random => random())
  t.same(draws(newRandom(1, 2, 3), 100, random => random()), first)
  for (const keys of [[1, 2, 4], [1, 3, 3], [2, 2, 3], [3, 2, 1], [1, 2]]) {
    const other = draws(newRandom(...keys), 100, random => random())
    t.ok(other.filter((value, i) => value === first[i]).length < 2, `keys ${keys.join(', ')}`)
  }
})

t.test('chance is even over [0, 1)', async t => {
  const tenths = Array<number>(10).fill(0)
  for (const value of draws(newRandom(7), 100_000, random => random())) tenths[Math.floor(value * 10)]! += 1
  for (const count of tenths) t.ok(Math.abs(count - 10_000) < 500, `${count} of 100,000 in a tenth`)
})

t.test('counts have the asked mean, and φ times it as variance', async t => {
  for (const phi of [1, 1.5, 5]) {
    const draw = countsWith(phi)
    for (const mean of [0.02, 0.7, 12, 900]) {
      const count = 40_000
      const found = momentsOf(draws(newRandom(11, phi, mean), count, random => draw(random, mean)))
      t.ok(Math.abs(found.mean - mean) < 5 * Math.sqrt(phi * mean / count), `φ ${phi}: mean ${found.mean} for ${mean}`)
      t.ok(Math.abs(found.variance / (phi * mean) - 1) < 0.25, `φ ${phi}: variance ${found.variance} for ${phi * mean}`)
    }
  }
})

t.test('a count of zero is as likely as the law says', async t => {
  const draw = countsWith(3)
  const zeros = draws(newRandom(13), 40_000, random => draw(random, 2)).filter(count => count === 0).length / 40_000
  t.ok(Math.abs(zeros - 3 ** (-2 / 2)) < 0.015, `${zeros} for size 1 and φ 3, of which a third is nothing`)
})

t.test('the other laws keep to their bounds and weights', async t => {
  const random = newRandom(17)
  t.ok(draws(random, 1000, random => logUniform(random, 20, 240)).every(value => value >= 20 && value < 240))
  t.same(new Set(draws(random, 1000, random => whole(random, 1, 5))), new Set([1, 2, 3, 4, 5]))
  const { mean, variance } = momentsOf(draws(random, 20_000, normal))
  t.ok(Math.abs(mean) < 0.04 && Math.abs(variance - 1) < 0.06)
  const picked = draws(random, 10_000, random => weighted(random, [1, 0, 3]))
  t.equal(picked.filter(index => index === 1).length, 0)
  t.ok(Math.abs(picked.filter(index => index === 2).length - 7500) < 250)
  t.same([...shuffled(random, [1, 2, 3, 4])].sort(), [1, 2, 3, 4])
})
