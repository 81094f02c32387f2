// Feeds of news from a vendor: RSS 2.0 (https://www.rssboard.org/rss-specification) and Atom (RFC 4287), as entries.
// Not here: which entries are one incident, and how bad it is by its words (entries).
import { XMLParser } from 'fast-xml-parser'
import { incidentsOf, type Entry } from './entries.ts'
import { readInstant } from './instants.ts'
import {
  decode, decodeEntities, describe, idOf, layReading, membersOf, PageError, plainText, TEXT_MAX, TITLE_MAX, urlOf, type Members, type PageReading
} from './page.ts'

const EXPECTED = 'an RSS 2.0 or Atom feed'
/** Bytes and tags of a feed, since parsing XML takes far longer than JSON: up to 1.6 s at these bounds (two shared cores, 2026-11-25). */
const BYTES_MAX = 1_048_576
const TAGS_MAX = 50_000
/** Texts in which HTML may stand unescaped: kept as they are instead of parsed. */
const RAW = ['rss.channel.item.description', 'feed.entry.content', 'feed.entry.summary']

/** What a feed says. It does not list what it tells about; an entry without an id, a link or a time is skipped. */
export function readFeed (body: Uint8Array): PageReading {
  if (body.byteLength > BYTES_MAX) throw new PageError(`a feed of at most ${BYTES_MAX} bytes`, `${body.byteLength}`)
  const root = parse(decode(body).trim())
  const rss = membersOf(root['rss'])
  const channel = rss !== null ? membersOf(one(rss['channel'])) ?? emptied(one(rss['channel'])) : null
  if (channel !== null) {
    const entries = all(channel['item']).flatMap(item => readItem(item) ?? [])
    return layReading(incidentsOf(entries), [], instantOf(channel['lastBuildDate']) ?? instantOf(channel['pubDate']))
  }
  const feed = membersOf(one(root['feed'])) ?? emptied(one(root['feed']))
  if (feed === null) throw new PageError(EXPECTED, rss === null ? 'other XML' : 'RSS without a channel')
  return layReading(incidentsOf(all(feed['entry']).flatMap(entry => readEntry(entry) ?? [])), [], instantOf(feed['updated']))
}

/** @throws PageError; whatever the parser throws is one, such as tags more than 30 deep or an external entity. */
function parse (text: string): Members {
  let tags = 0
  for (let at = text.indexOf('<'); at !== -1; at = text.indexOf('<', at + 1)) tags += 1
  if (tags > TAGS_MAX) throw new PageError(`a feed of at most ${TAGS_MAX} tags`, `${tags}`)
  // A feed that was cut off would read as a shorter one, in which incidents have vanished.
  if (!/<\/(?:rss|feed)\s{0,10}>(?:\s{0,100}<!--[^<>]{0,500}-->)?$/.test(text.slice(-1_000))) throw new PageError(EXPECTED, describe(text))
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    ignoreDeclaration: true,
    ignorePiTags: true,
    parseTagValue: false,
    parseAttributeValue: false,
    // Entities that the document declares are never expanded; those of XML and HTML are decoded in `plainText`.
    processEntities: false,
    maxNestedTags: 30,
    stopNodes: RAW
  })
  try {
    return membersOf(parser.parse(text)) ?? {}
  } catch {
    throw new PageError(EXPECTED, 'XML that is not well formed')
  }
}

function readItem (item: Members): Entry | null {
  const guid = decodeEntities(rawOf(item['guid']))
  const link = decodeEntities(rawOf(item['link']))
  const id = idOf(guid) ?? idOf(link)
  const at = instantOf(item['pubDate'])
  return id === null ? null : entryOf(item, { id, url: urlOf(link) ?? urlOf(guid), at, firstAt: null, text: item['description'] })
}

function readEntry (entry: Members): Entry | null {
  const link = all(entry['link']).find(({ '@rel': rel, '@href': href }) => (rel === undefined || rel === 'alternate') && typeof href === 'string')
  const href = typeof link?.['@href'] === 'string' ? decodeEntities(link['@href']) : ''
  const id = idOf(decodeEntities(rawOf(entry['id']))) ?? idOf(href)
  const publishedAt = instantOf(entry['published'])
  const updatedAt = instantOf(entry['updated'])
  return id === null ? null : entryOf(entry, { id, url: urlOf(href), at: updatedAt ?? publishedAt, firstAt: publishedAt, text: entry['content'] ?? entry['summary'] })
}

function entryOf (members: Members, { id, url, at, firstAt, text }: Pick<Entry, 'id' | 'url' | 'firstAt'> & { at: number | null, text: unknown }): Entry {
  return { id, url, at, firstAt, title: plainText(rawOf(members['title']), TITLE_MAX), text: plainText(rawOf(text), TEXT_MAX) }
}

/** The text of an element, with or without attributes, the first where it is repeated; CDATA without its marks. */
function rawOf (value: unknown): string {
  const element = one(value)
  const text = typeof element === 'string' ? element : membersOf(element)?.['#text']
  return typeof text === 'string' ? text.replaceAll('<![CDATA[', '').replaceAll(']]>', '').trim() : ''
}

function instantOf (value: unknown): number | null {
  return readInstant(rawOf(value))
}

/** The parser gives a list only of what stands more than once. */
function one (value: unknown): unknown {
  return Array.isArray(value) ? value[0] : value
}

function all (value: unknown): Members[] {
  return (Array.isArray(value) ? value : [value]).map(membersOf).filter(members => members !== null)
}

/** An element without children and attributes is an empty text to the parser. */
function emptied (value: unknown): Members | null {
  return value === '' ? {} : null
}
