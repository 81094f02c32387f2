import { readFile } from 'node:fs/promises'
import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { ReportBody } from '../../src/http/reports.ts'
import { openTestApp } from '../app.ts'

const app = await openTestApp(t)
const { body: description, headers } = await app.ask('/openapi.json')

t.test('the description is valid OpenAPI 3.1, without a reference that leads nowhere', async t => {
  t.match(headers['content-type'], /^application\/json/)
  t.match(description.openapi, /^3\.1\./)
  const release = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
  t.equal(description.info.version, release.version, 'it names the release')
  const validator = new Validator()
  t.match(await validator.validate(structuredClone(description)), { valid: true })
  t.equal(validator.version, '3.1')
  const found = [...JSON.stringify(description).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!)
  t.ok(found.length > 10)
  for (const path of new Set(found)) t.ok(path.split('/').reduce((at, name) => at?.[name], description), path)
  t.notMatch(JSON.stringify(description), /"pattern":"[^"]{200,}"/, 'no pattern that nobody can read')
})

t.test('it lists every call with its parameters, and how each refuses', async t => {
  const calls: Record<string, string> = {
    'post /v1/reports': '',
    'post /v1/reports/batch': '',
    'get /v1/services': 'limit cursor device_class',
    'get /v1/services/{service}': 'service device_class',
    'get /v1/services/{service}/curve': 'service from to window region device_class',
    'get /v1/services/{service}/breakdown': 'service by from to region',
    'get /v1/services/{service}/windows': 'service from to',
    'get /v1/services/{service}/history': 'service from to',
    'get /v1/outages': 'limit cursor service state since until',
    'get /v1/outages/{id}': 'id device_class',
    'get /v1/lead-times': 'limit cursor service year',
    'get /v1/events': 'service last_event_id last-event-id',
    'get /v1/regions': 'limit cursor',
    'get /v1/device-classes': 'limit cursor',
    'get /v1/symptoms': 'limit cursor',
    'get /v1/admin/tokens': 'limit cursor',
    'post /v1/admin/tokens': '',
    'get /v1/admin/tokens/{id}': 'id',
    'patch /v1/admin/tokens/{id}': 'id if-match',
    'delete /v1/admin/tokens/{id}': 'id',
    'get /v1/admin/services': 'limit cursor retired',
    'post /v1/admin/services': '',
    'get /v1/admin/services/{slug}': 'slug',
    'patch /v1/admin/services/{slug}': 'slug if-match',
    'delete /v1/admin/services/{slug}': 'slug',
    'get /v1/admin/components': 'limit cursor retired service',
    'post /v1/admin/components': '',
    'get /v1/admin/components/{service}/{slug}': 'service slug',
    'patch /v1/admin/components/{service}/{slug}': 'service slug if-match',
    'delete /v1/admin/components/{service}/{slug}': 'service slug',
    'get /v1/admin/device-classes': 'limit cursor retired',
    'post /v1/admin/device-classes': '',
    'get /v1/admin/device-classes/{slug}': 'slug',
    'patch /v1/admin/device-classes/{slug}': 'slug if-match',
    'delete /v1/admin/device-classes/{slug}': 'slug',
    'get /v1/admin/symptoms': 'limit cursor retired',
    'post /v1/admin/symptoms': '',
    'get /v1/admin/symptoms/{slug}': 'slug',
    'patch /v1/admin/symptoms/{slug}': 'slug if-match',
    'delete /v1/admin/symptoms/{slug}': 'slug',
    'get /v1/admin/workarounds': 'limit cursor retired service',
    'post /v1/admin/workarounds': '',
    'get /v1/admin/workarounds/{id}': 'id',
    'patch /v1/admin/workarounds/{id}': 'id if-match',
    'delete /v1/admin/workarounds/{id}': 'id',
    'get /v1/admin/sources': 'limit cursor retired service',
    'post /v1/admin/sources': '',
    'get /v1/admin/sources/{id}': 'id',
    'patch /v1/admin/sources/{id}': 'id if-match',
    'delete /v1/admin/sources/{id}': 'id',
    'get /v1/admin/audit': 'limit cursor',
    'get /v1/admin/comments': 'limit cursor service state',
    'post /v1/admin/comments/{id}/approve': 'id',
    'post /v1/admin/comments/{id}/reject': 'id',
    'get /v1/admin/blocks': 'limit cursor',
    'post /v1/admin/blocks': '',
    'get /v1/admin/blocks/{id}': 'id',
    'delete /v1/admin/blocks/{id}': 'id',
    'post /v1/admin/outages': '',
    'post /v1/admin/outages/{id}/confirm': 'id',
    'post /v1/admin/outages/{id}/resolve': 'id',
    'post /v1/admin/outages/{id}/dismiss': 'id',
    'post /v1/admin/outages/{id}/merge': 'id',
    'post /v1/admin/outages/{id}/annotate': 'id',
    'get /v1/admin/webhooks': 'limit cursor',
    'post /v1/admin/webhooks': '',
    'get /v1/admin/webhooks/{id}': 'id',
    'patch /v1/admin/webhooks/{id}': 'id if-match',
    'delete /v1/admin/webhooks/{id}': 'id',
    'post /v1/admin/webhooks/{id}/rotate': 'id',
    'get /v1/admin/webhooks/{id}/deliveries': 'id limit cursor state',
    'post /v1/admin/webhooks/{id}/deliveries/{delivery}/redeliver': 'id delivery',
    'get /v1/admin/acknowledgements': 'limit cursor service',
    'post /v1/admin/acknowledgements': '',
    'get /v1/admin/reports': 'limit cursor service from to region device_class verdict disposition network',
    'get /v1/admin/quarantine': 'limit cursor service from to reason',
    'post /v1/admin/moderation/preview': '',
    'post /v1/admin/moderation/actions': '',
    'get /v1/admin/moderation/actions': 'limit cursor',
    'get /v1/admin/moderation/actions/{id}': 'id',
    'post /v1/admin/moderation/actions/{id}/revert': 'id',
    'get /feeds/outages.atom': '',
    'get /feeds/{service}.atom': 'service',
    'get /badges/{service}.svg': 'service',
    'get /statuspage/api/v2/summary.json': '',
    'get /statuspage/{service}/api/v2/summary.json': 'service',
    'get /statuspage/api/v2/status.json': '',
    'get /statuspage/{service}/api/v2/status.json': 'service',
    'get /statuspage/api/v2/components.json': '',
    'get /statuspage/{service}/api/v2/components.json': 'service',
    'get /statuspage/api/v2/incidents.json': '',
    'get /statuspage/{service}/api/v2/incidents.json': 'service',
    'get /statuspage/api/v2/incidents/unresolved.json': '',
    'get /statuspage/{service}/api/v2/incidents/unresolved.json': 'service',
    'get /statuspage/api/v2/scheduled-maintenances.json': '',
    'get /statuspage/{service}/api/v2/scheduled-maintenances.json': 'service',
    'get /statuspage/api/v2/scheduled-maintenances/upcoming.json': '',
    'get /statuspage/{service}/api/v2/scheduled-maintenances/upcoming.json': 'service',
    'get /statuspage/api/v2/scheduled-maintenances/active.json': '',
    'get /statuspage/{service}/api/v2/scheduled-maintenances/active.json': 'service',
    'get /healthz': '',
    'get /readyz': '',
    'get /metrics': '',
    'get /openapi.json': '',
    'get /problems/{name}': 'name'
  }
  const listed = Object.entries<object>(description.paths).flatMap(([path, methods]) => Object.keys(methods).map(method => `${method} ${path}`))
  t.strictSame(listed.sort(), Object.keys(calls).sort())
  for (const [call, names] of Object.entries(calls)) {
    const [method, path] = call.split(' ') as [string, string]
    const { parameters = [], responses, summary } = description.paths[path][method]
    t.strictSame(parameters.map(({ name }: { name: string }) => name).sort(), names.split(' ').filter(name => name !== '').sort(), call)
    t.match(summary, /\w/)
    t.strictSame(responses.default.content, { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }, call)
    for (const { name, in: place, required, schema } of parameters) {
      t.equal(required, place === 'path' || name === 'by' || name === 'if-match', name)
      t.match(JSON.stringify(schema), /"(type|enum|anyOf|const)"/, `${call} says what ${name} is`)
    }
  }
  const reports = description.paths['/v1/reports'].post
  t.strictSame(Object.keys(reports.responses).sort(), ['200', '201', 'default'])
  const reportBody = description.components.schemas[reports.requestBody.content['application/json'].schema.$ref.split('/').at(-1)]
  t.strictSame(reportBody.required, ['service', 'verdict'])
  t.equal(reportBody.additionalProperties, false)
  t.match(reportBody.properties, { comment: { maxLength: 280 }, reporter: { maxLength: 64 }, verdict: { enum: ['working', 'degraded', 'down'] } })
  for (const example of reportBody.examples) t.ok(ReportBody.safeParse(example).success, 'the example is one that is taken')
  const curve = description.paths['/v1/services/{service}/curve'].get.responses['200'].content
  t.strictSame(Object.keys(curve).sort(), ['application/json', 'application/x-ndjson', 'image/svg+xml', 'text/csv'])
  const batch = description.paths['/v1/reports/batch'].post
  t.strictSame(Object.keys(batch.requestBody.content).sort(), ['application/json', 'application/x-ndjson'])
  t.match(description.components.schemas.BatchItemInput, { required: ['service', 'verdict', 'reporter'], properties: { observed_at: { format: 'date-time' } } })
  t.strictSame(batch.security, [{ token: [] }])
})

t.test('the page loads nothing from elsewhere, and all that it loads under its own policy', async t => {
  const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'
  for (const url of ['/docs', '/docs/']) {
    const page = await app.ask(url, { headers: { accept } })
    t.equal(page.status, 200)
    t.match(page.headers['content-type'], /^text\/html/)
    const policy = String(page.headers['content-security-policy'])
    t.notMatch(policy, /https?:|upgrade-insecure|\*|unsafe-eval/)
    t.match(policy, /default-src 'none'.*script-src 'self';.*connect-src 'self'/)
    t.notMatch(page.text, /(src|href)="(https?:)?\/\//)
    t.notMatch(page.text, /<script(?![^>]*\ssrc=)[^>]*>\s*\S|<style|\son\w+=/, 'nothing inline that the policy would stop')
    const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part]) => new URL(part!, `http://localhost${url}`))
    t.ok(parts.length >= 4)
    for (const { host, pathname } of parts) {
      t.equal(host, 'localhost')
      const part = await app.ask(pathname, { headers: { accept: pathname.endsWith('.css') ? 'text/css' : 'image/png' } })
      t.equal(part.status, 200, pathname)
      t.notMatch(part.headers['content-type'], /html/)
    }
  }
  const { text } = await app.ask('/docs/static/swagger-initializer.js')
  t.notMatch(text, /https?:\/\/(?!stackoverflow)/, 'asks no validator elsewhere')
  t.match(text, /validatorUrl: (null|undefined|false)/)
  const { text: style } = await app.ask('/docs/static/swagger-ui.css')
  t.notMatch(style, /url\(["']?https?:|@import/)
  const { status, body } = await app.ask('/docs/json', { headers: { accept: 'application/json,*/*' } })
  t.equal(status, 200)
  t.strictSame(body, description, 'it shows the same description')
})
