// Prometheus' text format 0.0.4, read strictly.

/** One line: a name, its labels and a value. */
export interface Sample { name: string, labels: Record<string, string>, value: number }

/** What was exposed: samples, and the type of each metric. */
export interface Exposition {
  samples: Sample[]
  types: Map<string, string>
  /** The value of the one sample that has these labels, whatever others it has; undefined when there is none. */
  value: (name: string, labels?: Record<string, string>) => number | undefined
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/
const META = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/
const NUMBER = /^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|Nan)$/

/** Reads an exposition. @throws Error at the first line that is not as the format has it, or has no HELP and TYPE before it */
export function readExposition (text: string): Exposition {
  if (!text.endsWith('\n')) throw new Error('The last line does not end.')
  const types = new Map<string, string>()
  const helped = new Set<string>()
  const samples: Sample[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const meta = META.exec(line)
    if (meta !== null) {
      const [, kind, name, said] = meta
      if (kind === 'HELP' ? helped.has(name!) : types.has(name!)) throw new Error(`${name} stands twice`)
      if (kind === 'HELP') helped.add(name!)
      else types.set(name!, said!)
      continue
    }
    const [, name, labelText = '', number] = SAMPLE.exec(line) ?? []
    if (name === undefined || !NUMBER.test(number!)) throw new Error(`no sample: ${line}`)
    const metric = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
    if (!types.has(metric) || !helped.has(metric)) throw new Error(`without HELP and TYPE: ${line}`)
    const labels = Object.fromEntries([...labelText.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, label, value]) => [label!, value!]))
    const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(key)) throw new Error(`twice: ${line}`)
    seen.add(key)
    samples.push({ name, labels, value: Number(number!.replace('Inf', 'Infinity')) })
  }
  return {
    samples,
    types,
    value (name, labels = {}) {
      const found = samples.filter(sample => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      if (found.length > 1) throw new Error(`${name} with ${JSON.stringify(labels)} is not one sample`)
      return found[0]?.value
    }
  }
}
