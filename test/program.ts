// The built program in a process of its own, as a person starts it.
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** Starts `node dist/main.js <args>` with these variables alone: `env -i` takes away what tap adds to every node, and half of a start. */
export function spawnProgram (args: readonly string[], environment: Record<string, string>, stdio: StdioOptions): ChildProcess {
  const variables = Object.entries({ PATH: process.env['PATH'] ?? '', ...environment }).map(([name, value]) => `${name}=${value}`)
  return spawn('/usr/bin/env', ['-i', ...variables, process.execPath, MAIN, ...args], { stdio })
}
