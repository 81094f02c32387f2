// How tests read a picture: its elements and texts, its bars, and whether its colours stand out.

/** Reads XML strictly enough for what we write: tags nest, attributes are quoted once each, no stray markup. Returns its texts. */
export function parse (xml: string): { elements: { name: string, attributes: Record<string, string> }[], texts: string[] } {
  const open: string[] = []
  const elements: { name: string, attributes: Record<string, string> }[] = []
  const texts: string[] = []
  let at = 0
  for (const tag of xml.matchAll(/<(\/?)([a-z][\w-]*)((?: [a-zA-Z:-]+="[^"<]*")*)(\/?)>/gi)) {
    const between = xml.slice(at, tag.index)
    if (/[<>]/.test(between)) throw new Error(`stray markup in ${between}`)
    if (/&(?!amp;|lt;|gt;|quot;)/.test(between + tag[3])) throw new Error(`a bare & in ${between}`)
    if (between.trim() !== '') texts.push(between.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&'))
    at = tag.index + tag[0].length
    if (tag[1] === '/') {
      if (open.pop() !== tag[2]) throw new Error(`</${tag[2]}> closes something else`)
      continue
    }
    const pairs = [...tag[3]!.matchAll(/ ([a-zA-Z:-]+)="([^"]*)"/g)].map(pair => [pair[1]!, pair[2]!] as const)
    if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error(`an attribute twice in ${tag[0]}`)
    elements.push({ name: tag[2]!, attributes: Object.fromEntries(pairs) })
    if (tag[4] === '') open.push(tag[2]!)
  }
  if (open.length > 0 || xml.slice(at).trim() !== '') throw new Error(`not closed: ${open.join(' ')}${xml.slice(at)}`)
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(xml) || !xml.isWellFormed()) throw new Error('a character that XML cannot hold')
  return { elements, texts }
}

/** The path of a series or mark. */
export function pathOf (svg: string, kind: 'series' | 'mark', name: string): string | undefined {
  return parse(svg).elements.find(({ attributes }) => attributes[`data-${kind}`] === name)?.attributes['d']
}

/** Left, right and height of each rectangle of a path. */
export function barsOf (d: string | undefined): { left: number, right: number, height: number }[] {
  return [...(d ?? '').matchAll(/M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V[\d.]+Z/g)]
    .map(([, left, low, high, right]) => ({ left: Number(left), right: Number(right), height: Number(low) - Number(high) }))
}

/** The dark colour that each light one has. */
export function darkOf (svg: string): Map<string, string> {
  return new Map([...svg.matchAll(/\[fill="(#\w+)"\]\{fill:(#\w+)\}/g)].map(([, light, dark]) => [light!, dark!]))
}

/** How far two colours stand out from each other (WCAG 2.2, 1.4.3). */
export function contrast (one: string, other: string): number {
  const luminance = (colour: string): number => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16) / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index]!, 0)
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (high! + 0.05) / (low! + 0.05)
}
