import t from 'tap'
import { readGoogleCloud, statusOfUpdate } from '../../../src/core/official/google-cloud.ts'
import { json, only, said, sample } from './samples.ts'

t.test('an incident is admitted when created, and its updates are dated by their own created, not by when', async t => {
  const reading = readGoogleCloud(sample('google-cloud.json'))
  t.strictSame(said(reading), [
    ['5fGQt4VbkDnr3Yp8PXPr', [['2026-06-05T07:40:13Z', 'degraded', 'We are investigating.'], ['2026-06-05T08:31:49Z', 'degraded', 'Some of it is disrupted.'], ['2026-06-05T09:52:49Z', 'down', '**Summary** It is an outage now.']]],
    ['over', [['2026-05-01T07:20:00Z', 'degraded', 'It is slow.'], ['2026-05-01T08:10:00Z', 'up', 'It is over.']]],
    ['brief', [['2026-04-01T07:20:00Z', 'down', 'Disks are slow'], ['2026-04-01T08:58:00Z', 'degraded', 'Still.']]]
  ])
  t.strictSame(reading.incidents.map(({ affected }) => affected), [['Hybrid Connectivity', 'Media CDN'], ['Google Cloud Console'], ['Persistent Disk']], 'products, else the service, never places')
  t.strictSame(reading.incidents.map(({ url }) => url), ['incidents/5fGQt4VbkDnr3Yp8PXPr', 'incidents/over', null])
  t.match(reading, { names: [], updatedAt: null })
})

t.test('updates are graded, and one of an unknown grade admits at least something', async t => {
  const table: [unknown, string][] = [['AVAILABLE', 'up'], ['SERVICE_INFORMATION', 'degraded'], ['SERVICE_DISRUPTION', 'degraded'], ['SERVICE_OUTAGE', 'down'], ['ODD', 'degraded'], [undefined, 'degraded']]
  for (const [status, wanted] of table) t.equal(statusOfUpdate(status), wanted, String(status))
})

const created = '2026-05-01T07:20:00+00:00'
const incident = { id: 'a', created, external_desc: 'Slow', updates: [{ created, text: 'x', status: 'SERVICE_OUTAGE' }] }
const read = (more: object) => readGoogleCloud(json([{ ...incident, ...more }]))

t.test('an end makes it over, even where no update says so, and not before its last word', async t => {
  t.strictSame(only(read({})).words.map(({ status }) => status), ['down'])
  t.strictSame(said(read({ end: '2026-05-01T09:00:00Z' })), [['a', [['2026-05-01T07:20:00Z', 'down', 'x'], ['2026-05-01T09:00:00Z', 'up', '']]]])
  t.strictSame(said(read({ end: '2026-05-01T05:00:00Z' })), [['a', [['2026-05-01T07:20:00Z', 'down', 'x'], ['2026-05-01T07:20:00Z', 'up', '']]]])
  t.strictSame(only(read({ end: null })).words.map(({ status }) => status), ['down'])
})

t.test('what is missing is replaced by what is there, and nothing is said before created', async t => {
  const cases: [object, unknown][] = [
    [{ id: undefined, number: '77' }, [['77', [['2026-05-01T07:20:00Z', 'down', 'x']]]]],
    [{ updates: undefined }, [['a', [['2026-05-01T07:20:00Z', 'degraded', 'Slow']]]]],
    [{ updates: undefined, status_impact: 'SERVICE_OUTAGE' }, [['a', [['2026-05-01T07:20:00Z', 'down', 'Slow']]]]],
    [{ updates: [{ when: '2026-05-01T06:00:00Z', text: 'x' }], status_impact: 'SERVICE_OUTAGE' }, [['a', [['2026-05-01T07:20:00Z', 'down', 'x']]]]],
    [{ updates: [{ when: '2026-05-01T06:30:00Z', text: 'y' }, { when: '2026-05-01T06:00:00Z', text: 'x' }] }, [['a', [['2026-05-01T07:20:00Z', 'degraded', 'x'], ['2026-05-01T07:20:00Z', 'degraded', 'y']]]]],
    [{ created: undefined }, [['a', [['2026-05-01T07:20:00Z', 'down', 'x']]]]],
    [{ created: undefined, updates: [] }, []],
    [{ id: null }, []]
  ]
  for (const [more, wanted] of cases) t.strictSame(said(read(more)), wanted, JSON.stringify(more))
  t.equal(only(read({ uri: 'javascript:alert(1)' })).url, null)
  t.equal(only(read({ uri: '//evil.example/x' })).url, null)
  t.equal(only(read({ uri: 'https://status.cloud.google.com/incidents/a' })).url, 'https://status.cloud.google.com/incidents/a')
})

t.test('one broken incident is skipped; a calm page is an empty list, and a list of other things is refused', async t => {
  t.equal(only(readGoogleCloud(json([null, 3, {}, { id: 'x', created: 'soon', updates: [5] }, incident]))).id, 'a')
  t.strictSame(readGoogleCloud(json([])).incidents, [])
  for (const page of [{}, null, 'x', [1, 2], [{ hello: 1 }]]) t.throws(() => readGoogleCloud(json(page)), { name: 'PageError' })
})
