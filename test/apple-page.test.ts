// The demonstration's page, read by the very reader that reads Apple's.
import t from 'tap'
import { ON_PAGE, servePage, writePage } from '../src/apple-page.ts'
import { MINUTE_MS } from '../src/core/time.ts'
import { readApple } from '../src/core/official/apple.ts'
import { catalog } from '../src/db/catalog.ts'
import { EVENING } from '../src/evening.ts'

const read = (at: number) => readApple(Buffer.from(JSON.stringify(writePage(at))))

t.test('it admits nothing for hours, then both services at its time, then that they are over', async t => {
  t.strictSame(read(EVENING.admittedAt - 1).incidents, [])
  const names = ['FaceTime', 'iMessage']
  const admitted = read(EVENING.admittedAt).incidents
  t.match(admitted.map(({ affected, words }) => ({ affected, words })), names.map(name => ({ affected: [name], words: [{ status: 'down', publishedAt: EVENING.admittedAt }] })))
  t.strictSame(read(EVENING.greenAt - 1).incidents, admitted)
  const over = read(EVENING.greenAt).incidents
  t.strictSame(over.map(({ id }) => id), admitted.map(({ id }) => id), 'the same incidents')
  t.match(over.map(({ words }) => words.at(-1)), names.map(() => ({ status: 'up', publishedAt: EVENING.greenAt, text: /^Users may have been unable to/ })))
  t.strictSame(read(EVENING.endsAt).incidents, over)
})

t.test('its times are in Apple\'s form, and it back-dates when it began', async t => {
  const { services } = writePage(EVENING.greenAt) as { services: { serviceName: string, events: object[] }[] }
  t.match(services.find(({ serviceName }) => serviceName === 'iMessage')!.events, [{
    eventStatus: 'resolved', datePosted: '11/18/2012 20:05 PST', startDate: '11/18/2012 15:48 PST', endDate: '11/18/2012 20:05 PST', epochStartDate: EVENING.failsAt
  }])
})

t.test('it calls the services as the catalog\'s sources expect', async t => {
  const names = (read(EVENING.admittedAt).incidents).flatMap(({ affected }) => affected)
  for (const service of ON_PAGE) {
    t.ok(catalog.sources.some(source => source.service === service && source.format === 'apple' && source.names!.some(name => names.includes(name))), service)
  }
})

t.test('asked again it answers that nothing has changed, until something has', async t => {
  let now: number = EVENING.startsAt
  const page = await servePage(() => now)
  t.teardown(page.close)
  const first = await fetch(page.url)
  t.equal(first.status, 200)
  t.strictSame(await first.json(), writePage(now))
  const again = () => fetch(page.url, { headers: { 'if-none-match': first.headers.get('etag')! } })
  now += MINUTE_MS
  t.equal((await again()).status, 304)
  now = EVENING.admittedAt
  const news = await again()
  t.equal(news.status, 200)
  t.strictSame(await news.json(), writePage(now))
  t.equal((await fetch(new URL('/', page.url))).status, 404)
})
