// What `npm run check` runs: lint and types at once, one core each, then the tests. What fails ends it.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** Runs a script of package.json; true when it went well. */
async function run (script, stdio) {
  const child = spawn('npm', ['run', script], { stdio })
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve(code === 0))
  })
  // Not mixed with what runs beside it.
  if (child.stdout !== null) process.stdout.write((await Promise.all([text(child.stdout), text(child.stderr)])).join(''))
  return ended
}

const looked = await Promise.all(['lint', 'types'].map(script => run(script, ['ignore', 'pipe', 'pipe'])))
if (looked.includes(false) || !await run('test', 'inherit')) process.exitCode = 1
