import { readFile } from 'node:fs/promises'
import t from 'tap'
import { openTestApp } from '../app.ts'
import { readExposition } from '../exposition.ts'

const DOCS = new URL('../../docs/', import.meta.url)
const OURS = /\b(?:groundswell|nodejs|process)_[a-z0-9_]+/g
const ROWS = ['Ingest', 'The way through', 'Telling', 'Sources', 'HTTP', 'Process']

const app = await openTestApp(t)
await app.report({ service: 'imessage', verdict: 'down' })
// A page that was read has an age.
await app.asOwner('update sources set enabled = true where id = (select id from sources order by id limit 1)')
await app.asOwner('insert into source_pages (url, format, read_at) select url, format, now() from sources where enabled')
const exposed = readExposition((await app.ask('/metrics')).text)
/** What a query can ask for: samples by name, and all of a histogram as soon as its type is told. */
const names = new Set([...exposed.samples.map(({ name }) => name),
  ...[...exposed.types].filter(([, type]) => type === 'histogram').flatMap(([name]) => ['bucket', 'sum', 'count'].map(part => `${name}_${part}`))])

t.test('the dashboard has a row for every part, and asks for nothing that is not exposed', async t => {
  const dashboard = JSON.parse(await readFile(new URL('grafana.json', DOCS), 'utf8'))
  t.ok(dashboard.schemaVersion >= 39)
  t.strictSame(dashboard.panels.filter(({ type }: { type: string }) => type === 'row').map(({ title }: { title: string }) => title), ROWS)
  const ids = dashboard.panels.map(({ id }: { id: number }) => id)
  t.equal(new Set(ids).size, ids.length)
  for (const { title, type, targets = [] } of dashboard.panels) {
    if (type === 'row') continue
    t.ok(targets.length > 0, title)
    for (const { expr } of targets) {
      const asked: string[] = expr.match(OURS) ?? []
      t.ok(asked.length > 0, expr)
      t.strictSame(asked.filter(name => !names.has(name)), [], `${title}: ${expr}`)
    }
  }
})

t.test('every alert asks for what is exposed, and says what to do', async t => {
  const rules = (await readFile(new URL('alerts.yml', DOCS), 'utf8')).split(/^ +- alert: /m).slice(1)
  t.ok(rules.length >= 10)
  for (const rule of rules) {
    const [name = ''] = rule.split('\n', 1)
    t.match(name, /^Groundswell[A-Za-z]+$/)
    const asked: string[] = /expr:([\s\S]*?)\n +(?:for|labels):/.exec(rule)?.[1]?.match(OURS) ?? []
    t.ok(asked.length > 0, name)
    t.strictSame(asked.filter(metric => !names.has(metric)), [], name)
    t.match(rule, /severity: (critical|warning)/)
    t.match(rule, /\n +action: \S/)
  }
})

t.test('the handbook says what every metric of ours means, and what to do at every alert', async t => {
  const handbook = await readFile(new URL('operations.md', DOCS), 'utf8')
  const alerts = await readFile(new URL('alerts.yml', DOCS), 'utf8')
  const told = [...exposed.types.keys()].filter(name => name.startsWith('groundswell_'))
  t.ok(told.length > 20)
  t.strictSame(told.filter(name => !handbook.includes(`\`${name}`)), [])
  t.strictSame([...alerts.matchAll(/alert: (\w+)/g)].map(([, name]) => name!).filter(name => !handbook.includes(name)), [])
})
