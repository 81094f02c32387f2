import t from 'tap'
import { readApple, statusOfType } from '../../../src/core/official/apple.ts'
import { bytes, json, only, said, sample } from './samples.ts'

t.test('each service of a message is told apart, dated by datePosted, without maintenance and what is to come', async t => {
  const reading = readApple(sample('apple.json'))
  t.strictSame(said(reading), [
    ['2000003401/FaceTime', [['2026-03-04T11:05:00Z', 'up', 'Users may have experienced a problem with this service.']]],
    ['2000003401/iMessage', [['2026-03-04T10:31:00Z', 'down', 'Users may be experiencing a problem with this service. We are investigating.']]]
  ])
  t.strictSame(reading.incidents.map(({ affected, title }) => [affected, title]), [[['FaceTime'], 'FaceTime: Outage'], [['iMessage'], 'iMessage: Outage']])
  t.strictSame(reading.names, ['App Store', 'iMessage', 'FaceTime'])
})

t.test('JSONP is read, and an event without eventStatus is over when it has an end', async t => {
  const reading = readApple(sample('apple-developer.jsonp'))
  t.strictSame(said(reading), [['2000005610/TestFlight', [['2026-07-14T17:05:00Z', 'degraded', 'Builds were slow to process.'], ['2026-07-14T19:00:00Z', 'up', '']]]])
  t.strictSame(reading.names, ['TestFlight', 'App Store Connect'])
  for (const wrapped of ['a.b({"services":[]})', 'jsonCallback( {"services":[]} ) ; ', '{"services":[]}']) t.strictSame(readApple(bytes(wrapped)).incidents, [], wrapped)
  for (const wrapped of ['jsonCallback({"services":[]}', 'jsonCallback();', 'alert(1);jsonCallback({"services":[]});']) t.throws(() => readApple(bytes(wrapped)), { name: 'PageError' }, wrapped)
})

const event = { messageId: '1', statusType: 'Outage', eventStatus: 'ongoing', message: 'x', datePosted: '03/04/2026 02:31 PST' }
const read = (more: object) => readApple(json({ services: [{ serviceName: 'iMessage', events: [{ ...event, ...more }] }] }))

t.test('types are graded, and how an event stands is what it says before what its end says', async t => {
  const types: [unknown, unknown][] = [['Outage', 'down'], ['outage', 'down'], ['Issue', 'degraded'], ['Performance', 'degraded'], ['Maintenance', null], ['maintenance', null], ['Odd', 'degraded'], [undefined, 'degraded']]
  for (const [type, status] of types) t.equal(statusOfType(type), status, String(type))
  const end = Date.UTC(2026, 2, 4, 9)
  const standings: [object, string | undefined][] = [
    [{}, 'down'], [{ epochEndDate: end }, 'down'], [{ eventStatus: 'resolved' }, 'up'], [{ eventStatus: 'completed' }, 'up'], [{ eventStatus: undefined }, 'down'], [{ eventStatus: null }, 'down'],
    [{ eventStatus: undefined, epochEndDate: end }, 'up'], [{ eventStatus: undefined, epochEndDate: null }, 'down'], [{ eventStatus: 'upcoming' }, undefined]
  ]
  for (const [more, status] of standings) t.equal(read(more).incidents[0]?.words.at(-1)?.status, status, JSON.stringify(more))
})

t.test('a time in a zone we know is an instant; in another, when it began stands in; without that the event is skipped', async t => {
  const began = Date.UTC(2026, 2, 4, 7)
  const dates: [unknown, number | undefined, number | undefined][] = [
    ['03/04/2026 02:31 PST', began, Date.UTC(2026, 2, 4, 10, 31)], ['07/04/2026 02:31 PDT', began, Date.UTC(2026, 6, 4, 9, 31)],
    ['03/04/2026 02:31 UTC', began, Date.UTC(2026, 2, 4, 2, 31)], ['3/4/2026 2:31 GMT', began, Date.UTC(2026, 2, 4, 2, 31)], ['03/04/2026 02:31 EST', began, Date.UTC(2026, 2, 4, 7, 31)],
    ['03/04/2026 02:31 CEST', began, began], ['03/04/2026 02:31', began, began], ['02/30/2026 02:31 PST', began, began], ['13/04/2026 02:31 PST', began, began], [undefined, began, began], [5, began, began],
    ['03/04/2026 02:31 CEST', undefined, undefined], [null, undefined, undefined]
  ]
  for (const [datePosted, epochStartDate, wanted] of dates) t.equal(read({ datePosted, epochStartDate }).incidents[0]?.words[0]?.publishedAt, wanted, String(datePosted))
})

t.test('events of one message about one service are words of one incident', async t => {
  const { words } = only(readApple(json({
    services: [{ serviceName: 'iMessage', events: [{ ...event, eventStatus: 'resolved', datePosted: '03/04/2026 05:00 PST' }, event, event] }]
  })))
  t.strictSame(words.map(({ status }) => status), ['down', 'up'], 'and what is said twice is one')
})

t.test('one broken service or event is skipped, a page without services, or with broken ones alone, is refused', async t => {
  const reading = readApple(json({ services: [null, 5, {}, { serviceName: 7, events: [event] }, { serviceName: 'Mail', events: 'x' }, { serviceName: 'iMessage', events: [null, {}, { ...event, messageId: null }, event] }] }))
  t.equal(only(reading).id, '1/iMessage')
  t.strictSame(reading.names, ['Mail', 'iMessage'])
  for (const page of [{}, [], null, { services: null }, { services: 'x' }, { services: [null, { serviceName: 7 }] }]) t.throws(() => readApple(json(page)), { name: 'PageError' })
})
