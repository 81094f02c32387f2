// A badge for a page or a README: what people say of a service, in a line.
import { z } from 'zod'
import type { ServiceState } from '../core/vocabulary.ts'
import type { Catalog } from '../db/services.ts'
import { BRIEFLY, sendText, ServicePath, type Routes } from './schemas.ts'
import { findService, type Summaries, type SummaryBody } from './services.ts'
import { COLOURS, escapeXml, FONTS } from './shapes.ts'

const HEIGHT = 20
const PADDING = 7
/** An average letter of FONTS at 11 px; `textLength` makes every font fit. */
const LETTER = 6.4
const SVG = 'image/svg+xml'

/** White on each holds 4.5:1 (WCAG 2.2, 1.4.3). */
const SAYINGS: Record<ServiceState | 'stale', { text: string, colour: string }> = {
  operational: { text: 'works for people', colour: '#1a6b3c' },
  suspected: { text: 'people begin to report failures', colour: '#8a5500' },
  outage: { text: 'people report that it fails', colour: COLOURS.confirmed[0] },
  recovering: { text: 'fewer people report failures', colour: COLOURS.down[0] },
  unknown: { text: 'too few reports to say', colour: COLOURS.muted[0] },
  stale: { text: 'not current', colour: COLOURS.muted[0] }
}

/** `GET /badges/:service.svg` */
export const badges: Routes<{ catalog: () => Catalog, summaries: Summaries }> = async (app, { catalog, summaries }) => {
  app.get('/:service.svg', {
    config: { produces: [SVG] }, schema: { summary: 'What people say of a service, as a badge', params: ServicePath, response: { 200: z.string() } }
  }, async ({ params }, reply) => {
    const { slug, name } = findService(catalog(), params.service)
    const summary = (await summaries.read()).find(summary => summary.slug === slug)
    reply.header('cache-control', BRIEFLY).type(`${SVG}; charset=utf-8`)
    return sendText(reply, drawBadge(name, summary === undefined ? 'unknown' : sayingOf(summary)))
  })
}

/** An open outage is told even when it is no longer current: better an old warning than none. */
function sayingOf ({ state, freshness, outages }: SummaryBody): keyof typeof SAYINGS {
  return freshness.state === 'stale' && outages.length === 0 ? 'stale' : state
}

/** A badge with a name and what is said of it. */
export function drawBadge (name: string, saying: keyof typeof SAYINGS): string {
  const { text, colour } = SAYINGS[saying]
  const widths = [name, text].map(words => Math.round(LETTER * [...words].length))
  const [left, right] = widths.map(width => width + 2 * PADDING) as [number, number]
  const label = escapeXml(`${name}: ${text}`)
  const words = (x: number, width: number, said: string) => `<text x="${x + PADDING}" y="14" textLength="${width}" lengthAdjust="spacingAndGlyphs">${escapeXml(said)}</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="${HEIGHT}" viewBox="0 0 ${left + right} ${HEIGHT}" role="img" aria-label="${label}"><title>${label}</title>` +
    `<clipPath id="r"><rect width="${left + right}" height="${HEIGHT}" rx="3"/></clipPath><g clip-path="url(#r)"><rect width="${left}" height="${HEIGHT}" fill="#3a4149"/><rect x="${left}" width="${right}" height="${HEIGHT}" fill="${colour}"/></g>` +
    `<g fill="#fff" font-family="${FONTS}" font-size="11">${words(0, widths[0]!, name)}${words(left, widths[1]!, text)}</g></svg>\n`
}
