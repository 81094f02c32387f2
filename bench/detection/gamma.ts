// The logarithm of the gamma function, which the negative binomial law is written in.

/** ln Γ(x + n) − ln Γ(x) for a whole n ≥ 0. */
export function lnRising (x: number, n: number): number {
  if (n > 12) return lnGamma(x + n) - lnGamma(x)
  let product = 1
  for (let i = 0; i < n; i++) product *= x + i
  return Math.log(product)
}

/** Stirling's series after shifting the argument above 8; x > 0 (Abramowitz & Stegun 6.1.41). */
export function lnGamma (x: number): number {
  let shift = 1
  let at = x
  while (at < 8) shift *= at++
  const inverse = 1 / at
  const square = inverse * inverse
  return (at - 0.5) * Math.log(at) - at + 0.9189385332046727 + inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) - Math.log(shift)
}
