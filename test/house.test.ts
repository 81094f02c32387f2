// The architecture, held against every file: who may import whom, and what each room may touch.
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const LINES_MAX = 400

/** Each room, what it may import beside itself, and where else the code belongs. */
const LAW: Record<string, { may: string[], instead: string }> = {
  core: { may: [], instead: 'core is pure: read in db, decide in core, and let a route or a job bring the two together' },
  db: { may: ['core'], instead: 'db only asks and stores: what calls it belongs in ingest, jobs or http' },
  embedded: { may: [], instead: 'embedded knows nothing of the service: pass in what it needs from a root file' },
  ingest: { may: ['db', 'core'], instead: 'ingest is the way in: what the clock does belongs in jobs, what a request needs in http' },
  jobs: { may: ['db', 'core'], instead: 'jobs and the way in meet only in tables: write a row, and let the other read it' },
  http: { may: ['ingest', 'db', 'core'], instead: 'http and jobs meet only in tables: let the job write what the route reads' }
}
const EVERYTHING = Object.keys(LAW)

/** Packages that only some rooms may import. */
const GUARDED: { packages: RegExp, rooms: string[], instead: string }[] = [
  { packages: /^(pg|drizzle-orm)(\/|$)/, rooms: ['db'], instead: 'SQL stands in src/db, in the file of its noun' },
  { packages: /^prom-client$/, rooms: [''], instead: 'rooms tell what they did through the callbacks they are given; src/metrics.ts counts' },
  { packages: /^(fastify|@fastify\/.+|fastify-.+)$/, rooms: ['http', ''], instead: 'HTTP stands in src/http' }
]

/** What must not be written in a room. */
const FORBIDDEN: { pattern: RegExp, inRoom: (room: string, file: string) => boolean, what: string, instead: string }[] = [
  { pattern: /\bDate\.now\(/, inRoom: room => room === 'core', what: 'Date.now()', instead: 'take `now: Date` as the last argument' },
  { pattern: /\bnew Date\(\s*\)/, inRoom: room => room === 'core', what: 'new Date() without argument', instead: 'take `now: Date` as the last argument' },
  { pattern: /\bMath\.random\b/, inRoom: room => room === 'core', what: 'Math.random', instead: 'let the caller pass chance in' },
  { pattern: /\bprocess\./, inRoom: room => room === 'core', what: 'process.', instead: 'let the caller pass it in' },
  { pattern: /\basync\b/, inRoom: room => room === 'core', what: 'async', instead: 'core computes; whoever waits stands in jobs, ingest or http' },
  { pattern: /\bprocess\.env\b/, inRoom: (_, file) => file !== 'config.ts', what: 'process.env', instead: 'add the variable to the schema in src/config.ts and pass its value' },
  { pattern: /\bconsole\./, inRoom: () => true, what: 'console.', instead: 'use the logger that is passed in, or write to the stream a command answers on' }
]

interface Source { file: string, room: string, text: string, code: string, imports: string[] }

async function readSources (): Promise<Source[]> {
  const names = await readdir(join(ROOT, 'src'), { recursive: true })
  return Promise.all(names.filter(name => name.endsWith('.ts')).map(async file => {
    const text = await readFile(join(ROOT, 'src', file), 'utf8')
    const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
    const found = [...code.matchAll(/^(?:import|export)\s(?:[^'"`=;]*?\sfrom\s+)?'([^']+)'/gm), ...code.matchAll(/\bimport\('([^']+)'\)/g)]
    const imports = found.map(match => match[1]!)
    return { file, room: file.includes('/') ? file.slice(0, file.indexOf('/')) : '', text, code, imports }
  }))
}

function targetOf (source: Source, specifier: string): string {
  return normalize(join(dirname(source.file), specifier))
}

/** Packages without I/O, clock or chance. */
const PURE_PACKAGES = ['iso-3166', 'ipaddr.js', 'fast-xml-parser']

t.test('every import keeps the law', async t => {
  const broken: string[] = []
  const sources = await readSources()
  for (const source of sources) {
    for (const specifier of source.imports.filter(specifier => specifier.startsWith('.'))) {
      const target = targetOf(source, specifier)
      const room = target.includes('/') ? target.slice(0, target.indexOf('/')) : ''
      const law = LAW[source.room]
      if (law === undefined || room === source.room || law.may.includes(room)) continue
      broken.push(`src/${source.file} imports src/${target}: ${law.instead}.`)
    }
    for (const { packages, rooms, instead } of GUARDED) {
      const found = source.imports.find(specifier => packages.test(specifier))
      if (found !== undefined && !rooms.includes(source.room)) broken.push(`src/${source.file} imports "${found}": ${instead}.`)
    }
    if (source.room === 'core') {
      const outside = source.imports.filter(specifier => !specifier.startsWith('.') && !PURE_PACKAGES.includes(specifier))
      for (const found of outside) broken.push(`src/${source.file} imports "${found}": ${LAW['core']!.instead}.`)
    }
  }
  t.strictSame(broken, [])
  t.ok(sources.flatMap(({ imports }) => imports).length > 100, 'there are imports to check')
})

t.test('there is no room beside those of the design, and no circle', async t => {
  const sources = await readSources()
  t.strictSame([...new Set(sources.map(({ room }) => room))].filter(room => room !== '' && !EVERYTHING.includes(room)), [],
    'a new room needs a decision in CONTRIBUTING.md and a place in LAW first')
  const edges = new Map(sources.map(source => [source.file,
    source.imports.filter(specifier => specifier.startsWith('.')).map(specifier => targetOf(source, specifier))]))
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      return
    }
    if (done.has(file)) return
    for (const next of edges.get(file) ?? []) visit(next, [...path, file])
    done.add(file)
  }
  for (const file of edges.keys()) visit(file, [])
  t.strictSame(circles, [], 'move what both need into a file that imports neither')
})

t.test('each room does only what is its own', async t => {
  const broken: string[] = []
  for (const { file, room, code } of await readSources()) {
    for (const { pattern, inRoom, what, instead } of FORBIDDEN) {
      if (inRoom(room, file) && pattern.test(code)) broken.push(`src/${file} uses ${what}: ${instead}.`)
    }
  }
  t.strictSame(broken, [])
})

t.test('no file is longer than 400 lines', async t => {
  const long: string[] = []
  for (const folder of ['src', 'test', 'bench', 'scripts']) {
    for (const name of await readdir(join(ROOT, folder), { recursive: true })) {
      if (!/\.(ts|mjs)$/.test(name)) continue
      const lines = (await readFile(join(ROOT, folder, name), 'utf8')).split('\n').length - 1
      if (lines > LINES_MAX) long.push(`${folder}/${name} has ${lines} lines: find the seam and make two files of it.`)
    }
  }
  t.strictSame(long, [])
})
