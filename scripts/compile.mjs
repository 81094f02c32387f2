// TypeScript for the tests: node is given a file as JavaScript, under its own name, so that paths and stack traces stay.
// Each file is compiled once and kept in `.tap/compiled` until it changes. Types are not checked here: `npm run types` does.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const KEPT = join(ROOT, '.tap/compiled')
const FOLDERS = ['src', 'test', 'bench']
const OPTIONS = { module: 'esnext', target: 'es2023', verbatimModuleSyntax: true, inlineSourceMap: true }

let compilerVersion

/** JavaScript of one file of this checkout; the first line of what is kept says what it was made of. */
async function compile (file) {
  compilerVersion ??= readFile(join(ROOT, 'node_modules/typescript/package.json'), 'utf8').then(text => JSON.parse(text).version)
  const source = await readFile(file, 'utf8')
  const origin = createHash('sha256').update(JSON.stringify([await compilerVersion, OPTIONS, source])).digest('hex')
  const kept = `${join(KEPT, file.slice(ROOT.length))}.js`
  const mark = `/* ${origin} */`   // in the file's first line, so that lines keep their numbers
  const known = await readFile(kept, 'utf8').catch(() => '')
  if (known.startsWith(mark)) return known
  const { default: typescript } = await import('typescript')
  const { outputText } = typescript.transpileModule(source, { fileName: file, compilerOptions: OPTIONS })
  const text = mark + outputText
  try {
    const draft = `${kept}.${process.pid}`
    await mkdir(dirname(kept), { recursive: true })
    await writeFile(draft, text)
    await rename(draft, kept)   // another test may read it now
  } catch (error) {
    // Somebody else's checkout can be tested too: it is compiled again each time.
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error
  }
  return text
}

/** Compiles what has changed in one process, since each test would load the compiler for its own. */
export async function compileAll () {
  for (const folder of FOLDERS) {
    const names = await readdir(join(ROOT, folder), { recursive: true })
    for (const name of names.filter(name => name.endsWith('.ts'))) await compile(join(ROOT, folder, name))
  }
}

/** A hook of node's: https://nodejs.org/api/module.html#loadurl-context-nextload */
export async function load (url, context, nextLoad) {
  if (!url.startsWith(pathToFileURL(ROOT).href) || !/\.ts(?:\?|$)/.test(url) || url.includes('/node_modules/')) return nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: await compile(fileURLToPath(url)) }
}
