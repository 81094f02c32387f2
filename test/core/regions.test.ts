import t from 'tap'
import { coarsenRegion, REGIONS } from '../../src/core/regions.ts'

t.test('a region is kept as its country or first subdivision', async t => {
  t.equal(coarsenRegion('CA'), 'CA')
  t.equal(coarsenRegion('CA-ON'), 'CA-ON')
  t.equal(coarsenRegion('ZZ'), 'ZZ')
  t.equal(coarsenRegion('FR-75C'), 'FR-IDF', 'Paris lies in Île-de-France')
  for (const unknown of ['XX', 'CA-', 'CA-XX', 'ca', 'CAN', '', '*', 'CA-ON-1']) t.equal(coarsenRegion(unknown), undefined, unknown)
})

t.test('the regions are sorted, unique, and every parent is one of them', async t => {
  const codes = REGIONS.map(({ code }) => code)
  t.strictSame([...new Set(codes)].sort(), codes)
  for (const { code, parent } of REGIONS) {
    if (parent !== null && (!codes.includes(parent) || code.slice(0, 2) !== parent)) t.fail(`${code} has the parent ${parent}`)
    if (coarsenRegion(code) !== code) t.fail(`${code} is listed and yet coarsened`)
  }
})
