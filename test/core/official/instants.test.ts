import t from 'tap'
import { readEpoch, readInstant } from '../../../src/core/official/instants.ts'

t.test('a time of each form is the instant it names, in UTC or a zone of the United States', async t => {
  const table: [string, string][] = [
    ['2026-03-04T10:31:02.123Z', '2026-03-04T10:31:02.123Z'], ['2026-03-04T02:31:02.1239-08:00', '2026-03-04T10:31:02.123Z'], ['2026-03-04 10:31+0000', '2026-03-04T10:31:00.000Z'],
    ['2024-02-29t10:31:00z', '2024-02-29T10:31:00.000Z'], ['2026-03-04T23:59:60Z', '2026-03-05T00:00:00.000Z'], ['2026-03-04T10:00:00+05:30', '2026-03-04T04:30:00.000Z'],
    ['Fri, 23 Aug 2019 04:18:35 PDT', '2019-08-23T11:18:35.000Z'], ['Fri, 14 Jan 2022 14:44:00 PST', '2022-01-14T22:44:00.000Z'], ['Tue, 30 Jul 2024 12:10:00 Z', '2024-07-30T12:10:00.000Z'],
    ['30 Jul 2024 12:10 +0200', '2024-07-30T10:10:00.000Z'], [' Tue,  30 JUL 2024\n12:10:00 GMT ', '2024-07-30T12:10:00.000Z'],
    ['03/04/2026 02:31 PST', '2026-03-04T10:31:00.000Z'], ['12/31/2026 23:59 EST', '2027-01-01T04:59:00.000Z']
  ]
  for (const [text, wanted] of table) t.equal(new Date(readInstant(text) ?? NaN).toISOString(), wanted, text)
  const hours: [string, number][] = [['UTC', 0], ['GMT', 0], ['UT', 0], ['EST', 5], ['EDT', 4], ['CST', 6], ['CDT', 5], ['MST', 7], ['MDT', 6], ['PST', 8], ['PDT', 7], ['AKST', 9], ['AKDT', 8], ['HST', 10]]
  for (const [zone, hour] of hours) t.equal(readInstant(`01/01/2026 00:00 ${zone}`), Date.UTC(2026, 0, 1, hour), zone)
})

t.test('what names no instant is none: no zone, an unknown one, no day of the calendar, another century', async t => {
  for (const text of ['', 'now', '2026-03-04', '2026-03-04T10:31:00', '2026-02-30T10:31:00Z', '2026-13-01T00:00:00Z', '2026-00-01T00:00:00Z', '2026-01-00T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z', '2026-01-01T00:00:00+15:00',
    '1969-12-31T23:59:59Z', '2100-01-01T00:00:01Z', '9999-01-01T00:00:00Z', '+012026-01-01T00:00:00Z', 'Fri, 23 Aug 2019 04:18:35', 'Fri, 23 Aug 2019 04:18:35 CEST', 'Fri, 23 Foo 2019 04:18:35 GMT', 'Fri, 31 Feb 2019 04:18:35 GMT',
    '03/04/2026 02:31', '03/04/2026 02:31 PT', '03/04/2026 02:31 constructor', `2026-03-04T10:31:00${' '.repeat(100)}Z`]) t.equal(readInstant(text), null, text)
  for (const value of [null, undefined, 5, {}, [], true]) t.equal(readInstant(value), null)
  const epochs: [unknown, number | null][] = [[0, 0], [1_772_617_800_000, 1_772_617_800_000], [1.9, 1], [-1, null], [4_102_444_800_001, null], [NaN, null], [Infinity, null], ['1772617800000', null], [null, null]]
  for (const [value, wanted] of epochs) t.equal(readEpoch(value), wanted, String(value))
})
