import t from 'tap'
import { statusOfEntry } from '../../../src/core/official/entries.ts'
import { readFeed } from '../../../src/core/official/feed.ts'
import { bytes, only, said, sample } from './samples.ts'

t.test('AWS gives each word an entry: those about one thing are one incident until it is over', async t => {
  const reading = readFeed(sample('aws.rss'))
  t.strictSame(said(reading), [
    ['ec2-ap-northeast-1_1566533912', [
      ['2019-08-23T04:18:32Z', 'degraded', 'We are investigating.'], ['2019-08-23T04:47:25Z', 'down', 'We can confirm that some instances are impaired.'],
      ['2019-08-23T08:54:51Z', 'degraded', 'Recovery is in progress.'], ['2019-08-23T11:18:35Z', 'up', 'Most have recovered. More is here.']
    ]],
    ['ec2-ap-northeast-1_1496642284', [['2017-06-05T05:58:04Z', 'up', 'It was and is over.']]],
    ['ec2-ap-northeast-1_1461170340', [['2016-04-20T16:39:00Z', 'up', 'We are investigating increased API error rates.'], ['2016-04-20T17:00:00Z', 'up', 'This issue has been resolved.']]]
  ])
  t.strictSame(reading.incidents.map(({ title }) => title), ['接続性 | Instance Availability', '[解決済] APIのエラー率 | Increased API Error Rates', 'Increased API Error Rates'])
  t.match(reading.incidents[0], { url: 'http://status.aws.amazon.com/#ec2-ap-northeast-1_1566533912', affected: ['ec2-ap-northeast-1', 'ec2'] })
  t.match(reading, { names: [], updatedAt: Date.UTC(2019, 7, 24, 7, 3, 14) })
})

const item = (id: string, title: string, at: string | null, text = 'x') => `<item><guid isPermaLink="false">${id}</guid><title>${title}</title>${at === null ? '' : `<pubDate>${at}</pubDate>`}<description>${text}</description></item>`
const rss = (...items: string[]) => bytes(`<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>${items.join('')}</channel></rss>`)
const aws = (second: number, title: string, key = 's3-us-east-1') => item(`https://status.aws.amazon.com/#${key}_${second}`, title, null)
const FIRST = 1_760_000_000
const DAY = 86_400

t.test('after an end or three days of silence AWS speaks of something else, and of each thing apart', async t => {
  const ids = (...items: string[]) => readFeed(rss(...items)).incidents.map(({ id, words }) => `${id}:${words.length}`).sort()
  t.strictSame(ids(aws(FIRST, 'Service disruption: a'), aws(FIRST + 60, 'Service is operating normally: a'), aws(FIRST + 120, 'Informational message: b')), [`s3-us-east-1_${FIRST}:2`, `s3-us-east-1_${FIRST + 120}:1`])
  t.strictSame(ids(aws(FIRST, 'Service disruption: a'), aws(FIRST + 3 * DAY, 'Service disruption: a')), [`s3-us-east-1_${FIRST}:2`])
  t.strictSame(ids(aws(FIRST, 'Service disruption: a'), aws(FIRST + 3 * DAY + 1, 'Service disruption: a')), [`s3-us-east-1_${FIRST}:1`, `s3-us-east-1_${FIRST + 3 * DAY + 1}:1`])
  t.strictSame(ids(aws(FIRST, 'Service disruption: a'), aws(FIRST + 60, 'Service disruption: a', 'ec2-us-east-1')), [`ec2-us-east-1_${FIRST + 60}:1`, `s3-us-east-1_${FIRST}:1`])
})

t.test('AWS is dated by pubDate, and by the second in its guid where that is missing', async t => {
  const id = `https://status.aws.amazon.com/#s3-us-east-1_${FIRST}`
  t.equal(only(readFeed(rss(item(id, 'Service disruption: a', 'Tue, 30 Jul 2024 12:10:00 GMT')))).words[0]!.publishedAt, Date.UTC(2024, 6, 30, 12, 10))
  t.equal(only(readFeed(rss(item(id, 'Service disruption: a', null)))).words[0]!.publishedAt, FIRST * 1_000)
})

t.test('the address of an Atom entry is its alternate, wherever that stands', async t => {
  const links = '<link rel="self" href="https://x.example/self"/><link rel="alternate" href="https://x.example/page"/>'
  t.equal(only(readFeed(bytes(`<feed><entry><id>a</id><updated>2026-03-04T10:07:11Z</updated>${links}</entry></feed>`))).url, 'https://x.example/page')
})

t.test('AWS names by its key and by the service without the region, and nothing when there are several', async t => {
  const table: [string, string[]][] = [
    ['ec2-us-east-1', ['ec2-us-east-1', 'ec2']], ['ec2-us-gov-west-1', ['ec2-us-gov-west-1', 'ec2']], ['transit-gateway-eu-central-1', ['transit-gateway-eu-central-1', 'transit-gateway']],
    ['route53', ['route53']], ['multipleservices-us-east-1', []]
  ]
  for (const [key, affected] of table) t.strictSame(only(readFeed(rss(aws(FIRST, 'Service disruption: a', key)))).affected, affected, key)
})

t.test('an Atom entry said something when published and what it says now when updated', async t => {
  const reading = readFeed(sample('statuspage.atom'))
  t.strictSame(said(reading), [
    ['tag:status.example.com,2005:Incident/11', [['2026-03-04T10:07:11Z', 'down', 'API outage'], ['2026-03-04T12:31:00Z', 'up', 'Mar 4, 12:31 UTC Resolved - It is over.']]],
    ['tag:status.example.com,2005:Incident/12', [['2026-03-04T11:00:00Z', 'degraded', 'Mar 4, 11:00 UTC Investigating - We look.']]]
  ])
  t.strictSame(reading.incidents.map(({ url }) => url), ['https://status.example.com/incidents/p31z', 'https://status.example.com/incidents/q42a'])
})

t.test('escaped and CDATA texts read alike, and the link is the item\'s own', async t => {
  const incident = only(readFeed(sample('azure.rss')))
  t.match(incident, { id: 'KTY1-HW8', title: 'Network Infrastructure & Front Door - Issues accessing a subset of Microsoft services', url: 'https://azure.status.microsoft/en-us/status/?trackingId=KTY1-HW8&lang=en', affected: [] })
  t.equal(incident.words[0]!.text, 'Impact Statement: Starting at 11:45 UTC & later, a subset of customers')
  const at = 'Tue, 30 Jul 2024 12:10:00 GMT'
  for (const text of ['<![CDATA[<p>a &amp; b</p>]]>', '&lt;p&gt;a &amp;amp; b&lt;/p&gt;', '<p>a &amp; b</p>', '<![CDATA[a &amp;]]> b']) t.equal(only(readFeed(rss(item('g', 'x', at, text)))).words[0]!.text, 'a & b', text)
})

t.test('titles are graded: over where they say so, down only where they say so', async t => {
  const table: [string, string, string | null][] = [
    ['Service is operating normally: [RESOLVED] Increased API Error Rates', '', 'up'], ['[RESOLVED] Outage of sign-in', '', 'up'], ['Sign-in has recovered', '', 'up'], ['Storage - Mitigated', '', 'up'],
    ['Outage', '[RESOLVED] Between 4:33 AM and 8:14 AM', 'up'], ['Outage', 'Nov 3, 10:00 UTC Resolved - Over.', 'up'], ['Outage', 'Nov 3, 10:00 UTC Monitoring - It was resolved.', 'down'],
    ['Unresolved trouble', '', 'degraded'], ['Sign-in is not resolved', '', 'degraded'], ['Partially restored', '', 'degraded'], ['Calls to be restored soon', '', 'degraded'],
    ['Informational message: Internet outage of a provider', '', 'degraded'], ['Service degradation: Instances down', '', 'degraded'], ['Performance issues: x', '', 'degraded'],
    ['Service disruption: Increased API Error Rates', '', 'down'], ['Service disruption: Elevated latency', '', 'down'], ['Outage of sign-in', '', 'down'], ['Mail is unavailable', '', 'down'], ['Mail is down', '', 'down'],
    ['Increased API Error Rates', '', 'degraded'], ['Elevated error rates', '', 'degraded'], ['Latency of messages', '', 'degraded'], ['Mail has slowed down', '', 'degraded'], ['Trouble with mail', '', 'degraded'], ['', '', 'degraded'],
    ['Scheduled maintenance of mail', '', null], ['Emergency EU platform maintenance', '', null], ['Upgrade', 'Mar 3, 11:00 UTC Scheduled - We upgrade.', null], ['Upgrade', 'In progress - We upgrade.', null], ['Trouble after the maintenance', '', 'degraded']
  ]
  for (const [title, text, status] of table) t.equal(statusOfEntry(title, text), status, `${title} | ${text}`)
})

t.test('an entry without an id is known by its link; without a time, an id or a link it is skipped', async t => {
  const reading = readFeed(rss(
    '<item><title>a</title><link>https://x.example/1</link><pubDate>Tue, 30 Jul 2024 12:10:00 GMT</pubDate></item>', item('no time', 'b', null), item('wrong time', 'c', 'Tue, 30 Jul 2024 12:10:00 CEST'),
    '<item><title>d</title><pubDate>Tue, 30 Jul 2024 12:10:00 GMT</pubDate></item>', '<item/>', 'text', '<item><guid>g<b>x</b></guid></item>'
  ))
  t.match(only(reading), { id: 'https://x.example/1', url: 'https://x.example/1', title: 'a' })
})

t.test('an entry that is there again with new text is an update', async t => {
  t.strictSame(said(readFeed(rss(item('g', 'Mail is unavailable', 'Tue, 30 Jul 2024 13:00:00 +0000', 'two'), item('g', 'Mail is unavailable', '30 Jul 2024 14:00:00 +0200', 'one')))), [
    ['g', [['2024-07-30T12:00:00Z', 'down', 'one'], ['2024-07-30T13:00:00Z', 'down', 'two']]]
  ])
})

t.test('a calm feed is an empty reading', async t => {
  for (const text of ['<rss><channel/></rss>', '<rss version="2.0"><channel></channel></rss>', '<feed xmlns="http://www.w3.org/2005/Atom"></feed>', '<feed></feed>']) t.strictSame(readFeed(bytes(text)), { incidents: [], names: [], updatedAt: null }, text)
})

t.test('entities that a feed declares are not expanded, its own file is not read, and neither depth nor size is without bound', async t => {
  const bomb = `<!DOCTYPE rss [<!ENTITY a "${'a'.repeat(1_000)}"><!ENTITY b "${'&a;'.repeat(1_000)}"><!ENTITY c "${'&b;'.repeat(1_000)}">]><rss><channel>${item('g', '&c;', 'Tue, 30 Jul 2024 12:10:00 GMT', '&c;')}</channel></rss>`
  const { title, words } = only(readFeed(bytes(bomb)))
  t.strictSame([title, words[0]!.text], ['&c;', '&c;'])
  t.equal(only(readFeed(bytes(`<!DOCTYPE rss [<!ENTITY a "expanded">]><rss><channel>${item('g', '&a;', 'Tue, 30 Jul 2024 12:10:00 GMT')}</channel></rss>`))).title, '&a;')
  const refused: [string, string][] = [
    ['an external entity', `<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel>${item('g', '&x;', 'Tue, 30 Jul 2024 12:10:00 GMT')}</channel></rss>`],
    ['depth', `<rss><channel>${'<a>'.repeat(40)}${'</a>'.repeat(40)}</channel></rss>`],
    ['tags', `<rss><channel>${'<a/>'.repeat(50_000)}</channel></rss>`],
    ['bytes', `<rss><channel>${' '.repeat(1_048_576)}</channel></rss>`],
    ['a prototype', '<rss><channel><__proto__><item/></__proto__></channel></rss>'],
    ['RSS without a channel', '<rss>x</rss>'], ['other XML', '<html><body/></html>'], ['a channel of text', '<rss><channel>x</channel></rss>']
  ]
  for (const [what, text] of refused) t.throws(() => readFeed(bytes(text)), { name: 'PageError' }, what)
})
