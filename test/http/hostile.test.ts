// Every operation of the description, asked in every wrong way that a list of values gives: refusals, never a fault of ours.
import t from 'tap'
import { openTestApp } from '../app.ts'

// An event stream ends as soon as it has begun, like any other answer.
const app = await openTestApp(t, { live: { lifetimeMs: 1 } })
const authorization = `Bearer ${await app.token(['admin'])}`
const { body: { paths, components } } = await app.ask('/openapi.json')

const NESTED = `${'['.repeat(5_000)}${']'.repeat(5_000)}`
const VALUES: unknown[] = [
  null, true, 0, -1, 1.5, 1e308, 2 ** 60, '', ' ', 'x', '\u0000', '\ud800', '👩‍👩‍👧', 'ﷺ', '../../etc/passwd', "' or 1=1 --", '{{7*7}}', '<script>', '%00', 'NaN', 'Infinity',
  '1e999', '-0', '０１', '2012-13-45T99:99:99Z', '9999-12-31T23:59:59Z', '0001-01-01T00:00:00Z', '+275760-09-13T00:00:00.001Z', '1970-01-01T00:00:00Z', '00000000-0000-0000-0000-000000000000', 'imessage', '*', 'CA-ON', 'ZZ',
  'constructor', '__proto__', 'toString', 'x'.repeat(70_000), [], {}, [[]], [{}], [null], { toString: 1 }, ['imessage'], { $gt: '' }
]
const RAW = [
  '', '{', '[', 'null', '0', '"x"', '{}', '[]', '{"a":1}', '{"service":"imessage","service":"github"}', '{"__proto__":{"x":1}}', '{"constructor":{"prototype":{}}}', '{"a":1e999}', '{"a":-0}', '\ufeff{}', '{}x', '{"a":01}',
  "{'a':1}", '{"a":NaN}', '{"a":\u0000}', '{"\\ud800":1}', '[1,]', '{"a":1,}', '["', '{"a":"x', '["timeout', '//x', NESTED, `{"a":${NESTED}}`, '\u2028', `{"${'k'.repeat(10_000)}":1}`, `{${Array.from({ length: 2_000 }, (_, i) => `"k${i}":${i}`).join(',')}}`
]
const TYPES = ['application/json', 'text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', 'nonsense', 'application/merge-patch+json']

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'
interface Operation { parameters?: { name: string, in: string }[], requestBody?: { content: Record<string, { schema: { $ref?: string } }> } }
const operations = Object.entries<Record<string, Operation>>(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase() as Method, path, ...operation })))
let asked = 0

async function ask (method: Method, url: string, payload?: string, type = 'application/json'): Promise<void> {
  asked += 1
  const answer = await app.ask(url, { method, headers: { authorization, 'if-match': '*', ...(payload === undefined ? {} : { 'content-type': type }) }, ...(payload === undefined ? {} : { payload }) })
  const what = `${method} ${url.slice(0, 120)} ${(payload ?? '').slice(0, 120)}`
  if (answer.status >= 500) t.fail(`${answer.status} to ${what}: ${answer.text.slice(0, 300)}`)
  if (answer.status < 400) return
  if (answer.body?.type === undefined || !/^application\/problem\+json/.test(String(answer.headers['content-type']))) t.fail(`no problem to ${what}: ${answer.text.slice(0, 200)}`)
  if (/node_modules|\bat \S+:\d+:\d+|select |insert |postgres/i.test(answer.text)) t.fail(`tells of the inside to ${what}: ${answer.text.slice(0, 300)}`)
  if ((answer.status === 422 || (answer.status === 400 && /members|parameters/.test(answer.body.detail))) && !(answer.body.errors?.length > 0)) t.fail(`names no field to ${what}: ${answer.text.slice(0, 300)}`)
}

const inPath = (path: string, value = 'imessage') => path.replaceAll(/\{\w+\}/g, encodeURIComponent(value))
const textOf = (value: unknown) => typeof value === 'string' ? value : JSON.stringify(value)
const sendable = (text: string) => text.isWellFormed() ? text : text.toWellFormed()

t.test('no value in a path or a parameter is a fault of ours', async () => {
  for (const { method, path, parameters = [] } of operations) {
    if (method === 'DELETE') continue
    for (const value of VALUES) {
      const text = encodeURIComponent(sendable(textOf(value)).slice(0, 5_000))
      if (path.includes('{')) await ask(method, path.replaceAll(/\{\w+\}/g, text), method === 'GET' ? undefined : '{}')
      for (const parameter of parameters) {
        if (parameter.in === 'query') await ask(method, `${inPath(path)}?${parameter.name}=${text}`)
      }
    }
    await ask(method, `${inPath(path)}?nope=1&nope=2&%zz=1`, method === 'GET' ? undefined : '{}')
  }
})

t.test('no body is a fault of ours, whatever its type', async t => {
  for (const { method, path } of operations) {
    if (method === 'GET' || method === 'DELETE') continue
    for (const raw of RAW) await ask(method, inPath(path), raw)
    for (const type of TYPES) await ask(method, inPath(path), '{}', type)
    t.equal((await app.ask(inPath(path), { method, headers: { authorization, 'content-type': 'text/plain' }, payload: '{}' })).status, 415, `${method} ${path} reads no text`)
  }
})

t.test('no value of any member is a fault of ours', async () => {
  for (const { method, path, requestBody } of operations) {
    const ref = requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1)
    const members = Object.keys(components.schemas[ref ?? '']?.properties ?? {})
    for (const member of members) {
      for (const value of VALUES) {
        await ask(method, inPath(path), JSON.stringify({ service: 'imessage', verdict: 'down', reason: 'x', [member]: value }))
        await ask(method, inPath(path), JSON.stringify({ [member]: value }))
      }
    }
  }
  t.ok(asked > 5_000, `${asked} requests`)
  t.equal((await app.ask('/readyz')).status, 200)
})
