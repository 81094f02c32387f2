import t from 'tap'
import { readStatuspage, statusOfComponent, statusOfImpact } from '../../../src/core/official/statuspage.ts'
import { json, only, said, sample } from './samples.ts'

t.test('a summary tells its open incidents by display_at, and components in trouble that no incident names', async t => {
  const reading = readStatuspage(sample('statuspage-summary.json'))
  t.strictSame(said(reading), [
    ['p31zjtct2jer', [['2026-03-04T10:07:10Z', 'down', 'We are looking into it.'], ['2026-03-04T10:31:00Z', 'down', 'We found it. A fix is on its way.']]],
    ['component/web1', [['2026-03-04T09:58:00Z', 'down', 'Webhooks: partial outage']]]
  ])
  const [incident, component] = reading.incidents
  t.match(incident, { title: 'Errors of API requests & webhooks of some', url: 'https://stspg.io/pkvbwp8jppf9', affected: ['API Requests'] })
  t.match(component, { title: 'Webhooks: partial outage', url: 'https://status.example.com', affected: ['Webhooks'] })
  t.strictSame(reading.names, ['API Requests', 'Git Operations', 'Webhooks', 'Pages'], 'without the group')
  t.equal(reading.updatedAt, Date.UTC(2026, 2, 4, 10, 31, 2, 123))
})

t.test('incidents.json tells what is over as well, and neither maintenance nor what a start was back-dated to', async t => {
  const reading = readStatuspage(sample('statuspage-incidents.json'))
  t.strictSame(said(reading), [
    ['over1', [['2026-02-10T19:00:00Z', 'down', 'We look.'], ['2026-02-10T19:40:00Z', 'down', 'We watch.'], ['2026-02-10T20:15:00Z', 'up', 'It is over.'], ['2026-02-12T17:00:00Z', 'up', 'What happened.']]],
    ['mute1', [['2026-01-10T19:00:00Z', 'degraded', 'Slow search'], ['2026-01-10T20:30:00Z', 'up', '']]]
  ])
  t.strictSame(reading.incidents.map(({ affected }) => affected), [['Accounts - Sign-in'], []])
  t.strictSame(reading.names, [])
})

t.test('impacts and components are graded, and none, maintenance and the unknown component admit nothing', async t => {
  const impacts: [unknown, unknown][] = [['none', null], ['maintenance', null], ['minor', 'degraded'], ['major', 'down'], ['critical', 'down'], ['odd', 'degraded'], [undefined, 'degraded'], [7, 'degraded']]
  for (const [impact, status] of impacts) t.equal(statusOfImpact(impact), status, String(impact))
  const components: [unknown, unknown][] = [['operational', null], ['under_maintenance', null], ['degraded_performance', 'degraded'], ['partial_outage', 'down'], ['major_outage', 'down'], ['odd', null], [undefined, null]]
  for (const [status, wanted] of components) t.equal(statusOfComponent(status), wanted, String(status))
})

const at = '2026-03-04T10:00:00Z'
const component = { id: 'c', name: 'Sync', status: 'major_outage', updated_at: at }
const open = { id: 'i', name: 'It fails', status: 'investigating', impact: 'minor', created_at: at, incident_updates: [{ status: 'investigating', body: 'x', display_at: at }] }
const ids = (page: object) => readStatuspage(json(page)).incidents.map(({ id }) => id)

t.test('a component is told of once: by the open incident that names it by id, name or in an update', async t => {
  t.strictSame(ids({ components: [component], incidents: [open] }).sort(), ['component/c', 'i'], 'an incident that names nothing')
  t.strictSame(ids({ components: [component], incidents: [{ ...open, components: [{ id: 'c' }] }] }), ['i'])
  t.strictSame(ids({ components: [component], incidents: [{ ...open, components: [{ name: 'Sync' }] }] }), ['i'])
  t.strictSame(ids({ components: [component], incidents: [{ ...open, incident_updates: [{ display_at: at, affected_components: [{ code: 'c', name: 'Core - Sync' }] }] }] }), ['i'])
  t.strictSame(ids({ components: [component], incidents: [{ ...open, status: 'resolved', components: [{ id: 'c' }] }] }).sort(), ['component/c', 'i'], 'what is over excuses nothing')
  t.strictSame(ids({ components: [component], incidents: [{ ...open, impact: 'none', components: [{ id: 'c' }] }] }), ['component/c'], 'nor what is no admission')
})

t.test('an update names a component as the page lists it, and no group', async t => {
  const group = { id: 'g', name: 'Core', group: true }
  const update = { display_at: at, affected_components: [{ code: 'c', name: 'Core - Sync' }, { code: 'g', name: 'Core' }, { code: 'gone', name: 'Core - Gone' }] }
  t.strictSame(only(readStatuspage(json({ components: [component, group], incidents: [{ ...open, incident_updates: [update] }] }))).affected, ['Sync', 'Core - Gone'])
})

t.test('a maintenance among the incidents is no admission, whatever its impact', async t => {
  for (const status of ['scheduled', 'in_progress', 'verifying', 'completed']) t.strictSame(ids({ incidents: [{ ...open, status }] }), [], status)
})

t.test('of words of one instant that which ends the incident is the last', async t => {
  const updates = [{ status: 'resolved', body: 'over', display_at: at }, { status: 'identified', body: 'found', display_at: at }]
  for (const order of [updates, updates.toReversed()]) t.strictSame(said(readStatuspage(json({ incidents: [{ ...open, incident_updates: order }] }))), [['i', [['2026-03-04T10:00:00Z', 'degraded', 'found'], ['2026-03-04T10:00:00Z', 'up', 'over']]]])
})

t.test('a group is no thing, and a component without a time takes the page\'s', async t => {
  t.strictSame(ids({ components: [{ ...component, group: true }] }), [])
  const { updated_at: _, ...timeless } = component
  t.strictSame(ids({ components: [timeless] }), [])
  t.equal(only(readStatuspage(json({ page: { updated_at: at }, components: [timeless] }))).words[0]!.publishedAt, Date.parse(at))
})

t.test('an incident without updates is said when created, never at the start that was set for it', async t => {
  const times: [object, string | undefined][] = [
    [{ created_at: '2026-03-04T10:00:00Z', started_at: '2026-03-04T08:00:00Z' }, '2026-03-04T10:00:00Z'],
    [{ created_at: '2026-03-04T10:00:00Z', started_at: '2026-03-04T10:00:05Z' }, '2026-03-04T10:00:05Z'],
    [{ created_at: null, started_at: '2026-03-04T08:00:00Z' }, '2026-03-04T08:00:00Z'],
    [{ created_at: 'soon' }, undefined]
  ]
  for (const [when, wanted] of times) {
    const { incidents } = readStatuspage(json({ incidents: [{ id: 'i', name: 'x', status: 'investigating', impact: 'minor', ...when }] }))
    t.equal(incidents[0]?.words[0]?.publishedAt, wanted === undefined ? undefined : Date.parse(wanted))
  }
})

t.test('one broken entry is skipped, a broken list is refused, and so is one of broken entries alone', async t => {
  t.strictSame(ids({ incidents: [null, 7, 'x', [], {}, { id: {} }, { ...open, id: '' }, { ...open, incident_updates: 'x', created_at: undefined }, open] }), ['i'])
  t.strictSame(said(readStatuspage(json({ incidents: [{ ...open, incident_updates: [null, { body: 'no time' }, { display_at: 5 }, { display_at: at, body: 5, status: [] }] }] }))), [['i', [[at, 'degraded', '']]]])
  for (const page of [{ incidents: 'x' }, { components: {} }, { incidents: null, components: [] }, { status: { indicator: 'none' } }, { incidents: [null, {}], components: [] }, { incidents: [], components: [{ id: 'c' }, 5] }]) t.throws(() => readStatuspage(json(page)), { name: 'PageError' })
})
