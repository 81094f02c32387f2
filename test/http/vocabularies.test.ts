import t from 'tap'
import { NamedItem, RegionItem } from '../../src/http/vocabularies.ts'
import { openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const app = await openTestApp(t)

async function readAll (path: string, limit: number): Promise<any[]> {
  const all: unknown[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { status, body } = await app.ask(`${path}?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    all.push(...body.items)
    cursor = body.next_cursor
  }
  return all
}

t.test('regions are ISO 3166, with ZZ for the unknown and every subdivision under its country', async t => {
  const regions = await readAll('/v1/regions', 200)
  for (const region of [regions[0], regions.at(-1)]) {
    exactly(t, RegionItem, region)
    members(t, region, 'code name parent')
  }
  const codes = new Set(regions.map(({ code }) => code))
  t.equal(codes.size, regions.length)
  t.ok(codes.size > 3_000)
  t.ok(['CA', 'CA-ON', 'US-CA', 'FR-IDF', 'ZZ'].every(code => codes.has(code)))
  t.notOk(codes.has('FR-75C'), 'a deeper level is its parent')
  t.strictSame(regions.filter(({ code, parent }) => code.includes('-') ? parent !== code.slice(0, 2) || !codes.has(parent) : parent !== null), [])
})

t.test('every word that a report may use is listed, and every one listed is taken', async t => {
  for (const [path, field] of [['/v1/device-classes', 'device_class'], ['/v1/symptoms', 'symptom']] as const) {
    const items = await readAll(path, 3)
    t.strictSame(await readAll(path, 200), items)
    t.strictSame(items.map(({ slug }) => slug), items.map(({ slug }) => slug).sort())
    for (const [i, item] of items.entries()) {
      exactly(t, NamedItem, item)
      members(t, item, 'slug name')
      t.equal((await app.report({ service: 'imessage', verdict: 'down', [field]: item.slug }, `10.${field.length}.${i}.1`)).status, 201, item.slug)
    }
  }
})

t.test('pages are bounded, and their cursors checked', async t => {
  for (const path of ['/v1/regions', '/v1/device-classes', '/v1/symptoms']) {
    t.ok((await app.ask(path)).body.items.length <= 50)
    for (const limit of ['0', '201', 'all']) problem(t, await app.ask(`${path}?limit=${limit}`), 'invalid', ['/limit'])
    problem(t, await app.ask(`${path}?cursor=nonsense`), 'invalid', ['/cursor'])
    problem(t, await app.ask(`${path}?q=x`), 'malformed', ['/q'])
    t.match((await app.ask(path)).headers, { etag: /^"/, 'cache-control': /^public/ })
  }
})
