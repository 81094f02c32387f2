// What is taken out of a comment before it is stored: whatever would lead to a person or a machine.
import ipaddr from 'ipaddr.js'

const REMOVED = '[removed]'
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
/** A dot, also as people write it to get past a filter: ` . `, `[.]`, `(dot)`, and the one that names of hosts know in Chinese (UTS 46). */
const DOT = '\\s?[[({]?\\s?(?:[.。]|dot)\\s?[\\])}]?\\s?'

const EMAIL = /[\p{L}\p{N}._%+'-]{1,64}\s?(?:@|[[({]\s?(?:at|@)\s?[\])}])\s?[\p{L}\p{N}-]{1,63}(?:\s?[[({]?(?:[.。]|dot)[\])}]?\s?[\p{L}\p{N}-]{1,63}){1,5}/giu
const IPV4 = new RegExp(`(?<![\\d.])${OCTET}(?:${DOT}${OCTET}){3}(?![\\d]|\\.\\d)(?:/\\d{1,2}|:\\d{1,5})?`, 'gi')
const MAC = /(?<![\da-f:-])(?:[\da-f]{2}[:-]){5}[\da-f]{2}(?![\da-f:-])/gi
/** What might be an IPv6 address; whether it is one is for ipaddr.js to say. */
const IPV6 = /(?<![\p{L}\p{N}:])[\da-f]{0,4}(?::[\da-f]{0,4}){2,8}(?:\.\d{1,3}){0,3}(?:%\w+)?/giu
const PHONE = /(?<![\p{L}\p{N}])(?:\+|00)?\(?\d(?:[\s()./-]{0,2}\d){8,14}(?![\p{L}\p{N}])/gu
const DATE = /^\d{4}-\d\d-\d\d\b/
/** Characters without a width, between others that they only hide. */
const HIDDEN = /(?<=[\p{L}\p{N}.:@+-])[\u00ad\u200b-\u200d\u2060\ufeff](?=[\p{L}\p{N}.:@+-])/gu

/**
 * A comment without e-mail addresses, IP and MAC addresses and telephone numbers; wide and other forms of letters and
 * digits (NFKC) are plain in it. Four numbers with dots are taken for an address even if they were a version.
 */
export function scrub (text: string): string {
  return text.normalize('NFKC').replace(HIDDEN, '')
    .replace(EMAIL, REMOVED)
    .replace(MAC, REMOVED)
    .replace(IPV4, REMOVED)
    .replace(IPV6, found => ipaddr.IPv6.isValid(found.replace(/%.*$/, '')) ? REMOVED : found)
    .replace(PHONE, found => DATE.test(found) ? found : REMOVED)
}
