// Calls to servers that are honest, clumsy or hostile: all of them on 127.0.0.1, whatever the names say.
// What an address is stands in test/core/addresses.test.ts.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import https from 'node:https'
import { createServer as createRawServer, Socket, type LookupFunction } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import { inspect } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { listen } from '../listen.ts'
import { openOutgoing, OUTGOING_LIMITS, OutgoingError, type Incoming, type Outgoing } from '../../src/jobs/outgoing.ts'

/** For this name alone, until 2120, and its own authority. */
const CERT = `-----BEGIN CERTIFICATE-----
MIIBbzCCARagAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5zdGF0dXMu
ZXhhbXBsZTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOc3RhdHVzLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARV
nxXP3Qdpe02oA4BtGCiWoD3Nh/Fc2QlrXDQzfd5hQbxlbh6hOGV3VIv6q3FFggqB
R4AWjctCG3KRXpDeJQbbo00wSzAZBgNVHREEEjAQgg5zdGF0dXMuZXhhbXBsZTAP
BgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBQ9yZc2Q+ntSSghmF6YIIcQ88g8WzAK
BggqhkjOPQQDAgNHADBEAiAbszhGRlVHpi7Q5xFhi1WmXFfBH3YnfXmnzplmU41M
mAIgbPO0YjyvQdRRUIZHaGN+n4owtn3P6Z38RXgWd8gnb2k=
-----END CERTIFICATE-----`
/** Its key, which opens nothing but these tests. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJiRnEi63tZ/zMmzw
BvQbS9kvMSo9dtLz0/X7uhjW4jihRANCAARVnxXP3Qdpe02oA4BtGCiWoD3Nh/Fc
2QlrXDQzfd5hQbxlbh6hOGV3VIv6q3FFggqBR4AWjctCG3KRXpDeJQbb
-----END PRIVATE KEY-----`

const LOOPBACK: LookupAddress[] = [{ address: '127.0.0.1', family: 4 }]
const PUBLIC: LookupAddress[] = [{ address: '8.8.8.8', family: 4 }]
const NOWHERE = () => new Promise<never>(() => {})
const call = openOutgoing({ allowPrivate: true })
const connectTls = tls.connect as (options: ConnectionOptions) => tls.TLSSocket

function read (url: string, headers: Record<string, string> = {}): Outgoing {
  return { method: 'GET', url, headers: { authorization: 'secret', ...headers } }
}

function textOf ({ body }: Incoming): string {
  return Buffer.from(body).toString()
}

/** Serves HTTP; gives its origin, and what was asked of it. */
async function serve (t: Test, answer: RequestListener) {
  const paths: string[] = []
  const port = await listen(t, createServer((request, response) => {
    paths.push(request.url ?? '')
    answer(request, response)
  }))
  return { origin: `http://127.0.0.1:${port}`, port, paths }
}

/** Serves bytes, once it was asked something; gives an address that holds a secret. */
async function serveRaw (t: Test, answer: (socket: Socket) => void): Promise<string> {
  const port = await listen(t, createRawServer(socket => { socket.once('data', () => answer(socket)) }))
  return `http://127.0.0.1:${port}/secret`
}

/** When it is closed, whether in peace or not. */
function closeOf (socket: Socket): Promise<unknown> {
  return socket.closed ? Promise.resolve() : new Promise(resolve => socket.on('close', resolve))
}

/** The call fails so, in a sentence that repeats nothing of what was sent. */
async function fails (t: Test, calling: Promise<Incoming>, kind: OutgoingError['kind'], message: RegExp, what = String(message)) {
  const error = await calling.then(() => undefined, error => error)
  t.type(error, OutgoingError, what)
  t.match(error, { kind, message }, what)
  t.match(error?.message, /^\S.*\.$/)
  t.notMatch(inspect(error, { depth: 9, showHidden: true }), /secret/)
}

/**
 * Leads every new connection to 127.0.0.1, where `ports` names a port to that instead; the socket calls its other end
 * `remoteAddress`. Gives what was to be connected to.
 */
function reroute (t: Test, { remoteAddress, ports = {} }: { remoteAddress?: string, ports?: Record<number, number> } = {}): LookupAddress[][] {
  const wanted: LookupAddress[][] = []
  const onSocket = (message: unknown) => {
    const { socket } = message as { socket: Socket }
    socket.connect = (given: unknown) => {
      const [{ host, port, lookup }] = given as [{ host: string, port: number, lookup: LookupFunction }]
      lookup(host, { all: true }, (_error, addresses) => { wanted.push(addresses as LookupAddress[]) })
      if (remoteAddress !== undefined) Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
      return Reflect.apply(Socket.prototype.connect, socket, [{ host: '127.0.0.1', port: ports[port] ?? port }])
    }
  }
  // TLS makes its sockets otherwise, and tells nobody.
  t.intercept(tls, 'connect', { value: ({ port = 443, ...options }: ConnectionOptions) => connectTls({ ...options, host: '127.0.0.1', port: ports[port] ?? port, ca: CERT }) })
  subscribe('net.client.socket', onSocket)
  t.teardown(() => { unsubscribe('net.client.socket', onSocket) })
  return wanted
}

t.test('a page is read as it is, with the headers that the caller gave', async t => {
  const { origin, port } = await serve(t, (request, response) => {
    response.writeHead(404, { 'X-Two': ['a', 'b'], 'set-cookie': 'a=1' }).end(JSON.stringify(request.headers))
  })
  const incoming = await call({ method: 'GET', url: `${origin}/a?b=c#d`, headers: { 'If-None-Match': '"1"' } })
  t.match(incoming, { status: 404, url: `${origin}/a?b=c`, headers: { 'x-two': 'a, b' } })
  t.notOk('set-cookie' in incoming.headers)
  t.strictSame(JSON.parse(textOf(incoming)), { host: `127.0.0.1:${port}`, connection: 'close', 'accept-encoding': 'gzip, br', 'if-none-match': '"1"' })
  t.match(textOf(await call(read(origin, { 'Accept-Encoding': 'identity' }))), /"accept-encoding":"identity"/)
})

t.test('a message is posted byte for byte, each on a connection of its own', async t => {
  const ports = new Set<number | undefined>()
  const { origin } = await serve(t, async (request, response) => {
    ports.add(request.socket.remotePort)
    const chunks = await request.toArray()
    response.end(`${request.method} ${request.headers['content-length']} ${request.headers['accept-encoding']} ${Buffer.concat(chunks)}`)
  })
  const message: Outgoing = { method: 'POST', url: origin, headers: { 'content-type': 'application/json' }, body: '{"text":"Störung"}' }
  for (let sent = 0; sent < 2; sent++) t.equal(textOf(await call(message)), 'POST 19 undefined {"text":"Störung"}')
  t.equal(ports.size, 2)
})

t.test('no spelling of a private address is called', async t => {
  const { port, paths } = await serve(t, (_request, response) => { response.end('reached') })
  const guarded = openOutgoing({ allowPrivate: false })
  const loopback = ['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1', '017700000001', '127.0.0.1.', '①②⑦.⓪.⓪.①', '127。0。0。1', '%31%32%37.0.0.1']
  for (const host of loopback) {
    t.equal(textOf(await call(read(`http://${host}:${port}/`))), 'reached', host)
    await fails(t, guarded(read(`http://${host}:${port}/secret`)), 'refused-target', /not, or not only, a public address/, host)
  }
  for (const host of ['localhost', 'LOCALHOST', '0', '0.0.0.0', '127.0.0.2', '10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '169.254.169.254', '255.255.255.255', '224.0.0.1',
    '192.0.2.1', '[::]', '[::1]', '[::127.0.0.1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001::1]', '[fc00::1]', '[fe80::1]', '[ff02::1]']) {
    await fails(t, guarded(read(`http://${host}:${port}/secret`)), 'refused-target', /not, or not only, a public address/, host)
  }
  t.equal(paths.length, loopback.length, 'only what was allowed came through')
})

t.test('a name is refused when one of its addresses is private, or when it has none', async t => {
  const wanted = reroute(t)
  for (const addresses of [LOOPBACK, [...PUBLIC, ...LOOPBACK], [...PUBLIC, { address: 'fd00::1', family: 6 }]]) {
    await fails(t, openOutgoing({ allowPrivate: false, lookup: async () => addresses })(read('http://status.example/secret')), 'refused-target', /^status\.example is not/)
  }
  await fails(t, openOutgoing({ allowPrivate: true, lookup: async () => [] })(read('http://status.example/secret')), 'unreachable', /has no address/)
  const missing = async () => { throw Object.assign(new Error('secret'), { code: 'ENOTFOUND' }) }
  await fails(t, openOutgoing({ allowPrivate: true, lookup: missing })(read('http://status.example/secret')), 'unreachable', /not found \(ENOTFOUND\)/)
  t.strictSame(wanted, [], 'nobody was called')
})

t.test('a name that answers otherwise a moment later is called where it was checked', async t => {
  const { port } = await serve(t, (request, response) => { response.end(`${request.socket.localAddress} ${request.headers.host}`) })
  const answers = [LOOPBACK, [{ address: '127.0.0.2', family: 4 }]]
  const asked: string[] = []
  const lookup = async (host: string) => {
    asked.push(host)
    return answers.shift()!
  }
  t.equal(textOf(await openOutgoing({ allowPrivate: true, lookup })(read(`http://status.example:${port}/`))), `127.0.0.1 status.example:${port}`)
  t.strictSame(asked, ['status.example'])
})

t.test('each hop is resolved and checked anew', async t => {
  const { port, paths } = await serve(t, (_request, response) => { response.writeHead(302, { location: '/b' }).end() })
  const wanted = reroute(t, { remoteAddress: '8.8.8.8' })
  const answers = [PUBLIC, LOOPBACK]
  const guarded = openOutgoing({ allowPrivate: false, lookup: async () => answers.shift()! })
  await fails(t, guarded(read(`http://status.example:${port}/secret`)), 'refused-target', /not, or not only, a public address/)
  t.strictSame(paths, ['/secret'])
  t.strictSame(wanted, [PUBLIC], 'the connection knows the checked address alone')
})

t.test('nothing is sent on a connection that ends elsewhere than at a public address', async t => {
  const server = createRawServer(socket => { socket.resume() })
  const port = await listen(t, server)
  reroute(t)
  const guarded = openOutgoing({ allowPrivate: false, lookup: async () => PUBLIC })
  for (const scheme of ['http', 'https']) {
    const connected = once(server, 'connection') as Promise<[Socket]>
    await fails(t, guarded({ method: 'POST', url: `${scheme}://status.example:${port}/secret`, headers: {}, body: 'secret' }), 'refused-target', /did not end at a public address/)
    const [socket] = await connected
    await closeOf(socket)
    t.equal(socket.bytesRead, 0, scheme)
  }
})

t.test('what is no plain request is refused', async t => {
  const { origin, port, paths } = await serve(t, (_request, response) => { response.end() })
  for (const url of ['', 'status', '/status', `${origin}/a\r\nb`, `${origin}/a\tb`, `http://127.0.0.1\n:${port}/`]) await fails(t, call(read(url)), 'refused-target', /not a URL/, JSON.stringify(url))
  for (const url of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'data:,x', 'javascript:1', 'ws://127.0.0.1/']) await fails(t, call(read(url)), 'refused-target', /Only http: and https:/, url)
  for (const who of ['user', 'user:secret', ':secret']) await fails(t, call(read(`http://${who}@127.0.0.1:${port}/`)), 'refused-target', /user or a password/)
  for (const headers of [{ a: 'b\r\nsecret: 1' }, { a: '\n' }, { a: '\0' }, { 'a\r\nb': 'c' }, { 'a b': 'c' }, { '': 'c' }]) {
    await fails(t, call(read(origin, headers)), 'refused-target', /characters that headers cannot carry/, JSON.stringify(headers))
  }
  for (const name of ['Host', 'connection', 'content-length', 'Transfer-Encoding', 'expect', 'upgrade']) {
    await fails(t, call(read(origin, { [name]: 'secret' })), 'refused-target', /belongs to the connection/, name)
  }
  t.strictSame(paths, [])
})

t.test('a GET follows redirects on its host, so many and no more', async t => {
  const { origin, paths } = await serve(t, ({ url }, response) => {
    const [, status = '200', left = '0'] = url?.split('/') ?? []
    if (left === '0') response.end('there')
    else response.writeHead(Number(status), { location: `./${Number(left) - 1}` }).write('moved')
  })
  for (const status of [301, 302, 303, 307, 308]) {
    t.match(await call(read(`${origin}/${status}/1`)), { status: 200, url: `${origin}/${status}/0` }, String(status))
  }
  t.equal(textOf(await call(read(`${origin}/302/${OUTGOING_LIMITS.redirectsMax}`))), 'there')
  paths.length = 0
  await fails(t, call(read(`${origin}/302/9`), { redirectsMax: 2 }), 'redirect', /redirects more than 2 times/)
  t.strictSame(paths, ['/302/9', '/302/8', '/302/7'])
  const loop = await serve(t, (_request, response) => { response.writeHead(302, { location: '/' }).end() })
  await fails(t, call(read(loop.origin)), 'redirect', /more than 3 times/)
  t.equal(loop.paths.length, 4)
  for (const [status, headers] of [[302, {}], [304, { location: '/' }], [300, { location: '/' }]] as const) {
    const still = await serve(t, (_request, response) => { response.writeHead(status, headers).end() })
    t.equal((await call(read(still.origin))).status, status, 'is an answer, not a redirect')
  }
})

t.test('a redirect leads to no other host, port or scheme', async t => {
  const other = await serve(t, (_request, response) => { response.end() })
  let location = ''
  const { origin, port } = await serve(t, (_request, response) => { response.writeHead(302, { location }).end() })
  for (location of [other.origin, `//127.0.0.1:${other.port}/`, `http://localhost:${port}/`, `https://127.0.0.1:${port}/`, 'http://169.254.169.254/', 'http://127.0.0.1/']) {
    await fails(t, call(read(origin)), 'redirect', /on the same host only/, location)
  }
  location = 'http://['
  await fails(t, call(read(origin)), 'redirect', /not a URL/)
  for (location of ['file:///etc/passwd', `http://user:secret@127.0.0.1:${port}/`]) await fails(t, call(read(origin)), 'refused-target', /Only http|password/, location)
  t.strictSame(other.paths, [])
})

t.test('a redirect may go from http to https on the same host, and never back', async t => {
  let location = 'https://status.example/there'
  const plain = await serve(t, (_request, response) => { response.writeHead(302, { location }).end() })
  const port = await listen(t, https.createServer({ key: KEY, cert: CERT }, ({ url }, response) => {
    response.writeHead(url === '/there' ? 200 : 302, { location: 'http://status.example/' }).end('secure')
  }))
  reroute(t, { ports: { 80: plain.port, 443: port } })
  const named = openOutgoing({ allowPrivate: true, lookup: async () => LOOPBACK })
  const incoming = await named(read('http://status.example/'))
  t.match(incoming, { status: 200, url: 'https://status.example/there' })
  t.equal(textOf(incoming), 'secure')
  await fails(t, named(read('https://status.example/secret')), 'redirect', /on the same host only/)
  location = 'https://other.example/there'
  await fails(t, named(read('http://status.example/secret')), 'redirect', /on the same host only/)
  t.equal(plain.paths.length, 2)
})

t.test('a POST follows no redirect: that is its answer', async t => {
  const { origin, paths } = await serve(t, (_request, response) => { response.writeHead(307, { location: '/b' }).end() })
  t.match(await call({ method: 'POST', url: `${origin}/a`, headers: {}, body: '{}' }), { status: 307, headers: { location: '/b' } })
  t.strictSame(paths, ['/a'])
})

t.test('what hangs is cut off at the deadline, wherever it hangs', async t => {
  const drip = (head: string) => (socket: Socket) => {
    socket.write(head)
    const timer = setInterval(() => socket.write('a'), 2)
    socket.on('close', () => clearInterval(timer))
  }
  const silent = await serveRaw(t, () => {})
  const hanging = [silent, silent.replace('http:', 'https:'), await serveRaw(t, drip('HTTP/1.1 200 OK\r\nx: ')), await serveRaw(t, drip('HTTP/1.1 200 OK\r\n\r\n'))]
  for (const url of hanging) await fails(t, call(read(url), { timeoutMs: 60 }), 'timeout', /not complete after 0.06 s/, url)
  await fails(t, openOutgoing({ allowPrivate: true, lookup: NOWHERE })(read('http://status.example/secret'), { timeoutMs: 20 }), 'timeout', /not complete/)
  let redirectCount = 0
  const endless = await serve(t, (_request, response) => { response.writeHead(302, { location: `/${++redirectCount}` }).end() })
  await fails(t, call(read(endless.origin), { timeoutMs: 100, redirectsMax: 1e9 }), 'timeout', /not complete/, 'hops share one deadline')
})

t.test('a call is given up when whoever waits gives up', async t => {
  const given = new AbortController()
  let closed: Promise<unknown> | undefined
  const url = await serveRaw(t, socket => {
    closed = closeOf(socket)
    given.abort()
  })
  await fails(t, call(read(url), {}, given.signal), 'aborted', /given up/)
  await closed
  const { origin, paths } = await serve(t, (_request, response) => { response.end() })
  await fails(t, call(read(origin), {}, given.signal), 'aborted', /given up/)
  await fails(t, openOutgoing({ allowPrivate: true, lookup: NOWHERE })(read('http://status.example/secret'), {}, given.signal), 'aborted', /given up/)
  t.strictSame(paths, [], 'nobody was called')
})

t.test('an answer without end is cut off: headers, body, and what comes before them', async t => {
  const pour = (head: string, more: string | Uint8Array) => (socket: Socket) => {
    socket.write(head)
    const next = () => { if (!socket.destroyed) socket.write(more, next) }
    next()
  }
  const gzipped = 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n'
  const cases: [string, (socket: Socket) => void, RegExp][] = [
    ['body', pour('HTTP/1.1 200 OK\r\n\r\n', 'a'.repeat(1_000)), /longer than 100000 bytes/],
    ['chunks', pour('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', '5\r\naaaaa\r\n'.repeat(100)), /longer than 100000 bytes/],
    ['encoded nothing', pour(gzipped, Buffer.concat(Array.from({ length: 100 }, () => gzipSync('')))), /longer than 100000 bytes/],
    ['header', pour('HTTP/1.1 200 OK\r\nx: ', 'a'.repeat(1_000)), /headers of 127\.0\.0\.1:\d+ are longer than 16384 bytes/],
    ['headers', pour('HTTP/1.1 200 OK\r\n', 'x: aaaa\r\n'.repeat(100)), /headers of/],
    ['informational', pour('', 'HTTP/1.1 103 Early Hints\r\n\r\n'), /answers without end/]
  ]
  for (const [what, answer, message] of cases) {
    let closed: Promise<unknown> | undefined
    const url = await serveRaw(t, socket => {
      closed = closeOf(socket)
      answer(socket)
    })
    await fails(t, call(read(url), { bodyMax: 100_000 }), 'too-large', message, what)
    await closed
  }
})

t.test('an encoded answer is decoded, up to the same bound', async t => {
  const page = Buffer.from('a page '.repeat(1_000))
  const bomb = Buffer.alloc(8 * 1024 * 1024)
  let encoding = ''
  let body: Uint8Array = page
  const { origin } = await serve(t, (_request, response) => { response.writeHead(200, { 'content-encoding': encoding }).end(body) })
  for (const [name, encode] of [['gzip', gzipSync], ['X-GZIP', gzipSync], ['br', brotliCompressSync], ['deflate', deflateSync], ['identity', (page: Buffer) => page]] as const) {
    encoding = name
    body = encode(page)
    t.equal(textOf(await call(read(origin), { bodyMax: page.length })), page.toString(), name)
    await fails(t, call(read(origin), { bodyMax: page.length - 1 }), 'too-large', /longer than 6999 bytes/, name)
    if (name === 'identity') continue
    body = encode(bomb)
    await fails(t, call(read(origin)), 'too-large', /longer than 2097152 bytes/, `${name}: ${body.length} bytes that become ${bomb.length}`)
    body = encode(page).subarray(0, -9)
    await fails(t, call(read(origin)), 'unreachable', /cannot be decoded/, name)
  }
  for (encoding of ['zstd', 'compress', 'gzip, gzip', 'constructor']) await fails(t, call(read(origin)), 'unreachable', /encoding that was not asked for/, encoding)
  body = new Uint8Array()
  for (encoding of ['gzip', 'zstd']) t.equal(textOf(await call(read(origin))), '', 'nothing needs no decoding')
})

t.test('a server that breaks off or speaks something else is unreachable', async t => {
  const cases: Record<string, (socket: Socket) => void> = {
    reset: socket => { socket.resetAndDestroy() },
    closed: socket => { socket.end() },
    'reset in the body': socket => { socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsecret', () => socket.resetAndDestroy()) },
    'closed in the body': socket => { socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsecret') },
    'closed in a chunk': socket => { socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nsecret') },
    'no HTTP': socket => { socket.end('220 secret ESMTP\r\n') },
    'two lengths': socket => { socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nsecret') },
    'another protocol': socket => { socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n') }
  }
  for (const [what, answer] of Object.entries(cases)) await fails(t, call(read(await serveRaw(t, answer))), 'unreachable', /does not speak HTTP/, what)
  const server = createRawServer()
  const port = await listen(t, server)
  server.close()
  await once(server, 'close')
  await fails(t, call(read(`http://127.0.0.1:${port}/secret`)), 'unreachable', /ECONNREFUSED/)
})

t.test('a certificate is held against the host of the URL', async t => {
  const names: (string | false | undefined)[] = []
  const server = https.createServer({ key: KEY, cert: CERT }, (request, response) => {
    names.push((request.socket as tls.TLSSocket & { servername?: string | false }).servername)
    response.end('secure')
  })
  const port = await listen(t, server)
  const named = openOutgoing({ allowPrivate: true, lookup: async () => LOOPBACK })
  const notSecure = /not secure/
  await fails(t, named(read(`https://status.example:${port}/secret`)), 'unreachable', notSecure, 'nobody known signed it')
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.teardown(() => { delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'] })
  await fails(t, named(read(`https://status.example:${port}/secret`)), 'unreachable', notSecure, 'whatever the environment says')
  t.intercept(tls, 'connect', { value: (options: ConnectionOptions) => connectTls({ ...options, ca: CERT }) })
  t.equal(textOf(await named(read(`https://status.example:${port}/`))), 'secure', 'as if this machine trusted who signed it')
  t.strictSame(names, ['status.example'])
  await fails(t, named(read(`https://other.example:${port}/secret`)), 'unreachable', /not secure \(ERR_TLS_CERT_ALTNAME_INVALID\)/)
  await fails(t, named(read(`https://127.0.0.1:${port}/secret`)), 'unreachable', /not secure \(ERR_TLS_CERT_ALTNAME_INVALID\)/)
})
