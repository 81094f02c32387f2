import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { FAULT_CODES } from '../../src/core/faults.ts'
import { answerBrokenRequest, faultOf, PROBLEMS } from '../../src/http/problems.ts'
import { openTestApp } from '../app.ts'
import { problem } from './contract.ts'

const app = await openTestApp(t)

const GETS = [
  '/v1/services', '/v1/services/imessage', '/v1/services/imessage/curve', '/v1/services/imessage/breakdown', '/v1/services/imessage/history', '/v1/outages', '/v1/lead-times',
  '/v1/outages/0192a1b2-0000-7000-8000-000000000000', '/v1/regions', '/v1/device-classes', '/v1/symptoms', '/healthz', '/readyz', '/openapi.json', '/problems/invalid'
]
const POSTS = ['/v1/reports', '/v1/reports/batch']
const ODD = ['PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'QUERY', 'LOCK', 'MKCOL', 'SEARCH']

t.test('a method that a path does not have is 405 with those that it has', async t => {
  for (const [paths, methods, allow] of [[GETS, ['POST', ...ODD], 'GET, HEAD, OPTIONS'], [POSTS, ['GET', 'HEAD', ...ODD], /^POST/]] as const) {
    for (const url of paths) {
      for (const method of methods) {
        for (const payload of method === 'POST' || method === 'QUERY' ? ['', '{"a":', 'x'.repeat(2_000_000)] : ['']) {
          const answer = await app.ask(url, { method: method as 'GET', ...(payload === '' ? {} : { payload, headers: { 'content-type': 'application/json' } }) })
          if (method === 'HEAD') t.equal(answer.status, 405)
          else problem(t, answer, 'method-not-allowed')
          t.match(answer.headers['allow'], allow, `${method} ${url}`)
        }
      }
    }
  }
})

t.test('a path or a name that is not known is 404, whatever the method and however odd', async t => {
  const paths = ['/', '/nope', '/v1', '/v2/services', '/v1/', '/v1//services', '/V1/services', '/v1/services/', '/v1/services/nope', '/v1/services/nope/curve', '/v1/services/IMESSAGE',
    '/v1/services/imessage%00', '/v1/services/imessage%2Fcurve', '/v1/services/..%2f..%2fetc%2fpasswd', `/v1/services/${'a'.repeat(65)}`, `/v1/services/${'a'.repeat(101)}`,
    `/v1/services/${'a'.repeat(5_000)}/curve`, '/v1/services/%F0%9F%98%80', '/v1/outages/1', '/v1/outages/nope', `/v1/outages/${'0'.repeat(300)}`, '/v1/outages/00000000-0000-0000-0000-00000000000g',
    '/v1/outages/0192a1b2-0000-7000-8000-000000000000', "/v1/outages/1'%20or%20'1'='1", '/problems/', '/problems/nope', '/problems/__proto__', '/docs/nope', '/docs/static/nope.js', '/docs/static/..%2f..%2fpackage.json', '/.env']
  for (const url of paths) problem(t, await app.ask(url), 'not-found')
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']) problem(t, await app.ask('/nope', { method: method as 'GET' }), 'not-found')
  problem(t, await app.ask('/v1/services/%E0%A4%A'), 'malformed')
})

t.test('every call refuses parameters that it does not know, or that stand twice, by name', async t => {
  for (const url of GETS) {
    problem(t, await app.ask(`${url}?foo=1&__proto__=2&from[]=3`), 'malformed', ['/foo', '/__proto__', '/from[]'].concat(url.endsWith('breakdown') ? ['/by'] : []))
  }
  for (const [url, name] of [['/v1/services', 'limit'], ['/v1/regions', 'cursor'], ['/v1/services/imessage', 'device_class'], ['/v1/services/imessage/curve', 'window'], ['/v1/outages', 'state']]) {
    problem(t, await app.ask(`${url}?${name}=1&${name}=1`), 'malformed', [`/${name}`])
  }
  problem(t, await app.ask('/v1/services/imessage/curve?window=2m&region=XX&device_class=toaster&foo=1'), 'malformed', ['/window', '/region', '/device_class', '/foo'])
  problem(t, await app.ask('/v1/outages?service=nope&state=broken'), 'invalid', ['/service', '/state'])
  problem(t, await app.ask('/v1/services?limit=0&device_class=toaster'), 'invalid', ['/limit', '/device_class'])
  const { body } = await app.ask('/v1/services?foo=1')
  t.strictSame(body.errors, [{ pointer: '/foo', detail: '"foo" is not known here.', in: 'query' }])
})

t.test('what cannot be answered in an accepted type is 406, and what can be is answered', async t => {
  for (const url of GETS.filter(url => !url.startsWith('/problems') && !url.includes('0192'))) {
    const by = url.endsWith('breakdown') ? '?by=region' : ''
    for (const accept of ['text/html', 'application/xml', 'application/json;q=0', 'nonsense']) problem(t, await app.ask(url, { headers: { accept } }), 'not-acceptable')
    for (const accept of ['application/json', '*/*', 'application/*', 'application/json; charset=utf-8', 'text/html, */*;q=0.1', 'APPLICATION/JSON;q=0.5', '']) {
      t.equal((await app.ask(url + by, { headers: { accept } })).status, 200, `${url} as ${accept}`)
    }
  }
  problem(t, await app.ask('/v1/reports', { method: 'POST', payload: { service: 'imessage', verdict: 'down' }, headers: { accept: 'text/html' } }), 'not-acceptable')
})

t.test('every type of problem is a path that answers with a page for people', async t => {
  for (const code of FAULT_CODES) {
    const { status, headers, text } = await app.ask(`/problems/${code}`, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
    t.equal(status, 200)
    t.equal(headers['content-type'], 'text/html; charset=utf-8')
    t.match(text, new RegExp(`^<!doctype html>[\\s\\S]*<h1>${PROBLEMS[code].title}</h1>[\\s\\S]*${PROBLEMS[code].status}`))
    t.notMatch(text, /undefined|https?:|<script/)
  }
})

t.test('any site may read what is public, and none may call what is not', async t => {
  const origin = 'https://example.org'
  for (const url of [...GETS, '/v1/reports']) {
    const method = url === '/v1/reports' ? 'POST' : 'GET'
    const asked = await app.ask(url, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'content-type' } })
    t.match(asked, { status: 204, headers: { 'access-control-allow-origin': '*', 'access-control-allow-methods': new RegExp(method), 'access-control-allow-headers': /content-type/ } }, url)
  }
  for (const [url, status] of [['/v1/services', 200], ['/v1/services?foo=1', 400], ['/v1/services/nope', 404], ['/nope', 404]] as const) {
    const { headers, status: found } = await app.ask(url, { headers: { origin } })
    t.equal(found, status)
    t.equal(headers['access-control-allow-origin'], '*')
    t.match(headers['access-control-expose-headers'], /etag.*retry-after/)
  }
  for (const url of ['/v1/reports/batch', '/v1/admin/tokens']) {
    const asked = await app.ask(url, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } })
    t.ok(asked.status >= 400)
    t.equal(asked.headers['access-control-allow-origin'], undefined)
  }
  const posted = await app.ask('/v1/reports/batch', { method: 'POST', headers: { origin } })
  t.equal(posted.headers['access-control-allow-origin'], undefined)
})

t.test('OPTIONS says what a path has', async t => {
  t.match(await app.ask('/v1/services', { method: 'OPTIONS' }), { status: 204, headers: { allow: 'GET, HEAD, OPTIONS' } })
  t.match(await app.ask('/v1/reports', { method: 'OPTIONS', headers: { origin: 'https://example.org' } }), { status: 204, headers: { allow: 'POST, OPTIONS' } })
  problem(t, await app.ask('/v1/reports/batch', { method: 'OPTIONS' }), 'method-not-allowed')
})

t.test('what Node refuses before there is a request is a problem as well', async t => {
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.http.server.address() as AddressInfo
  const say = async (text: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(text)
    let got = ''
    socket.on('data', chunk => { got += chunk })
    await once(socket, 'close')
    const [head = '', body = ''] = got.split('\r\n\r\n')
    const headers = Object.fromEntries(head.split('\r\n').slice(1).map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]))
    t.equal(Number(headers['content-length']), Buffer.byteLength(body))
    return { status: Number(head.split(' ')[1]), headers, body: JSON.parse(body) }
  }
  const end = 'Host: x\r\nConnection: close\r\n\r\n'
  const long = 'a'.repeat(40_000)
  for (const text of ['garbage\r\n\r\n', '\u0016\u0003\u0001\u0002\u0000', `GET / HTTP/9.9\r\n${end}`, `BREW /pot HTTP/1.1\r\n${end}`, `GET / HTTP/1.1\r\nHost x\r\n${end}`, `GET /\u0000 HTTP/1.1\r\n${end}`,
    'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', `POST /v1/reports HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: x\r\n${end}`,
    `POST /v1/reports HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n${end}0\r\n\r\n`,
    `POST /v1/reports HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n${end}ZZ\r\n\r\n`]) {
    problem(t, await say(text), 'malformed')
  }
  problem(t, await say(`GET /${long} HTTP/1.1\r\n${end}`), 'headers-too-large')
  problem(t, await say(`GET /healthz HTTP/1.1\r\nX: ${long}\r\n${end}`), 'headers-too-large')
  problem(t, await say(`GET /healthz HTTP/1.1\r\nhost: elsewhere\r\n${end}`), 'malformed')
  const proxied = await say(`CONNECT example.org:443 HTTP/1.1\r\n${end}`)
  problem(t, proxied, 'method-not-allowed')
  t.ok(proxied.headers['allow'])
  t.match(await say(`GET /healthz HTTP/1.1\r\nExpect: miracles\r\n${end}`), { status: 200 })
  t.match(await say(`GET http://elsewhere/healthz HTTP/1.1\r\n${end}`), { status: 200 })
})

t.test('a request that arrives too slowly is given up, and told so', async t => {
  t.match(app.http.server, { headersTimeout: 20_000, requestTimeout: 120_000 })
  const socket = new PassThrough()
  answerBrokenRequest(Object.assign(new Error('x'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket)
  const text = (await socket.toArray()).join('')
  t.match(text, /^HTTP\/1\.1 408 /)
  const body = JSON.parse(text.split('\r\n\r\n')[1]!)
  problem(t, { status: body.status, body }, 'timeout')
})

t.test('who hangs up in the midst of a body is no alarm about the database, whose own reset is', t => {
  t.equal(faultOf(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })).code, 'malformed')
  t.equal(faultOf(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })).code, 'unavailable')
  t.end()
})

t.test('what collides with another change again and again is a conflict, not a fault of ours', t => {
  const collided = Object.assign(new Error('could not serialize access'), { code: '40001' })
  t.equal(faultOf(collided).code, 'conflict')
  t.equal(faultOf(new Error('Failed query', { cause: collided })).code, 'conflict')
  t.end()
})
