import t from 'tap'
import { NEWS_TYPES } from '../../src/core/vocabulary.ts'
import { isSecret, judgeAnswer, LADDER_MS, readRetryAfter, RETRY_LADDER_S, wantsNews, writePayload, type Answer } from '../../src/core/webhooks.ts'

const NOW = new Date('2012-11-18T12:00:00Z')
/** The wait after an answer, s; undefined when there is none to come. */
const waitOf = (answer: Answer | undefined, rung: number, chance = 0) => {
  const outcome = judgeAnswer(answer, rung, chance, NOW)
  return outcome.state === 'pending' ? (outcome.nextAt.getTime() - NOW.getTime()) / 1_000 : undefined
}

t.test('who fails is tried ten times in three days and four hours, as Standard Webhooks says', async t => {
  const failures: (Answer | undefined)[] = [undefined, { status: 500 }, { status: 404 }, { status: 302 }, { status: 100 }, { status: 200 - 1 }, { status: 300 }]
  for (const answer of failures) {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(rung => waitOf(answer, rung))
    t.strictSame(waits, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400])
    t.strictSame(judgeAnswer(answer, 10, 0, NOW), { state: 'failed', why: 'exhausted' })
  }
  t.equal(RETRY_LADDER_S.length, 10)
  t.equal(LADDER_MS, ((75 * 60 + 35) * 60 + 5) * 1_000)
})

t.test('chance makes a wait at most a tenth longer, and never shorter', async t => {
  t.equal(waitOf({ status: 500 }, 2, 0.5), 315)
  t.equal(waitOf({ status: 500 }, 2, 1), 330)
})

t.test('any 2xx is delivered, and 410 ends it at once', async t => {
  for (const status of [200, 201, 202, 204, 299]) t.strictSame(judgeAnswer({ status }, 10, 0, NOW), { state: 'delivered' })
  for (const rung of [1, 10]) t.strictSame(judgeAnswer({ status: 410 }, rung, 0, NOW), { state: 'failed', why: 'gone' })
})

t.test('who is busy is waited for as long as it asks, between this wait and the next', async t => {
  for (const status of [429, 502, 503, 504]) {
    t.equal(waitOf({ status, retryAfterS: 60 }, 1), 60)
    t.equal(waitOf({ status, retryAfterS: 1 }, 1), 5, 'no less')
    t.equal(waitOf({ status, retryAfterS: 1e9 }, 1), 300, 'no more')
    t.equal(waitOf({ status }, 1), 300, 'it does not say')
    t.equal(waitOf({ status, retryAfterS: 1e9 }, 9), 86_400)
    t.strictSame(judgeAnswer({ status, retryAfterS: 60 }, 10, 0, NOW), { state: 'failed', why: 'exhausted' })
  }
  t.equal(waitOf({ status: 500, retryAfterS: 60 }, 1), 5, 'who is broken does not decide')
})

t.test('Retry-After is seconds or an instant, and anything else says nothing', async t => {
  const cases: [string | undefined, number | undefined][] = [
    ['0', 0], ['120', 120], [' 7 ', 7], ['Sun, 18 Nov 2012 12:02:00 GMT', 120], ['Sun, 18 Nov 2012 11:00:00 GMT', 0],
    [undefined, undefined], ['', undefined], ['-5', undefined], ['1.5', undefined], ['9'.repeat(40), undefined], ['soon', undefined], ['2012', 2012], ['Sun, nonsense GMT', undefined]
  ]
  for (const [text, seconds] of cases) t.equal(readRetryAfter(text, NOW), seconds, String(text))
})

t.test('a webhook gets the types and services that it asked for, and no others', async t => {
  const news = { type: 'outage.confirmed', service: 'imessage' } as const
  t.ok(wantsNews({ events: NEWS_TYPES, services: null }, news))
  t.ok(wantsNews({ events: ['outage.confirmed'], services: ['facetime', 'imessage'] }, news))
  t.notOk(wantsNews({ events: ['outage.suspected'], services: null }, news))
  t.notOk(wantsNews({ events: NEWS_TYPES, services: ['facetime'] }, news))
})

t.test('what is sent holds the outage as it was written, to the byte', async t => {
  const data = '{"id": "x",  "severity":1.50}'
  t.equal(writePayload({ type: 'outage.resolved', at: NOW, data }), `{"type":"outage.resolved","timestamp":"2012-11-18T12:00:00Z","data":${data}}`)
})

t.test('a secret is whsec_ and 24 to 64 bytes in plain base64', async t => {
  const of = (bytes: number) => `whsec_${Buffer.alloc(bytes, 251).toString('base64')}`
  for (const bytes of [24, 32, 63, 64]) t.ok(isSecret(of(bytes)), `${bytes} bytes`)
  const wrong = [of(23), of(65), of(32).slice(6), of(32).replace('whsec_', 'whpk_'), of(32).replace('=', ''), of(32).replaceAll('+', '-'), `${of(32)} `, `${of(24)}\n`, 'whsec_']
  for (const text of wrong) t.notOk(isSecret(text), text)
})
