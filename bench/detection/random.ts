// Chance that is the same on every machine: a seeded generator and the laws that the streams draw from.

/** Uniform in [0, 1), 32 bits. */
export type Random = () => number

/** sfc32 (Doty-Humphrey, PractRand), keyed by whole numbers: other keys, other streams; equal keys, the same one. */
export function newRandom (...keys: number[]): Random {
  let mixed = 0x9e3779b9
  const next = (): number => {
    // The finalizer of MurmurHash3 spreads keys that differ in one bit.
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    mixed = (mixed ^ (mixed >>> 16)) + 0x9e3779b9 | 0
    return mixed
  }
  let a = 0
  let b = 0
  let c = 0
  for (const key of keys) {
    mixed ^= key | 0
    a ^= next()
    b ^= next()
    c ^= next()
  }
  let counter = 1
  const random = (): number => {
    const sum = (a + b | 0) + counter | 0
    counter = counter + 1 | 0
    a = b ^ (b >>> 9)
    b = c + (c << 3) | 0
    c = ((c << 21) | (c >>> 11)) + sum | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 15; i++) random()
  return random
}

/** Uniform in [low, high). */
export function uniform (random: Random, low: number, high: number): number {
  return low + (high - low) * random()
}

/** Log-uniform in [low, high). */
export function logUniform (random: Random, low: number, high: number): number {
  return low * (high / low) ** random()
}

/** A whole number in [low, high], each as likely. */
export function whole (random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1))
}

/** Standard normal (Box & Muller 1958). */
export function normal (random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** An index, as likely as its weight. */
export function weighted (random: Random, weights: readonly number[]): number {
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0)
  for (let i = 0; i < weights.length - 1; i++) {
    left -= weights[i]!
    if (left < 0) return i
  }
  return weights.length - 1
}

/** A copy in random order (Fisher & Yates). */
export function shuffled<T> (random: Random, items: readonly T[]): T[] {
  const copy = [...items]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = whole(random, 0, i)
    const kept = copy[i]!
    copy[i] = copy[j]!
    copy[j] = kept
  }
  return copy
}

/** Above this mean a count is drawn as the sum of parts: exp(−mean) must stay a number. */
const PART_MAX = 200

/**
 * Draws counts with a given mean and variance φ·mean: Poisson for φ = 1, else negative binomial of size mean/(φ−1),
 * the law of a Poisson count with Gamma mean, by inversion. Such counts add up: parts of equal φ have the sum's law.
 */
export function countsWith (phi: number): (random: Random, mean: number) => number {
  const isPoisson = phi < 1.000001
  const lnZeroPerMean = isPoisson ? 1 : Math.log(phi) / (phi - 1)
  const draw = (random: Random, mean: number): number => {
    if (mean > PART_MAX) return draw(random, mean / 2) + draw(random, mean / 2)
    let left = random()
    let chance = Math.exp(-lnZeroPerMean * mean)
    let count = 0
    while (left >= chance && chance > 0) {
      left -= chance
      chance *= isPoisson ? mean / (count + 1) : (mean + count * (phi - 1)) / (phi * (count + 1))
      count++
    }
    return count
  }
  return draw
}
