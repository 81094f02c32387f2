// The catalog that a new installation begins with: what people can report on, from what, and what they can use instead.
// Edit it freely: a line is a thing. What moderators add later lives in the database only.

import type { SourceFormat } from '../core/vocabulary.ts'

/** One service. Slugs are `[a-z0-9-]{1,64}`, unique among services, and of components within their service. */
export interface CatalogService {
  slug: string
  name: string
  /** The heading under which it is listed. */
  group: string | null
  /** The detector's prior for a service it has not yet watched: `down` reports an hour. */
  expectedPerHour: number
  components: { slug: string, name: string }[]
  /** By device class: what people can use there instead. Null: there is nothing. No entry: not known. */
  fallbacks: Record<string, string | null>
}

/** A vendor's page that tells of a service; `names`: what the page calls it, none where the whole page is about it. */
export interface CatalogSource { service: string, format: SourceFormat, url: string, names?: string[] }

/** Everything a service can be described with, in the order in which people should read it. */
export interface Catalog {
  deviceClasses: { slug: string, name: string }[]
  symptoms: { slug: string, name: string }[]
  services: CatalogService[]
  /** By service: the others that it needs to work. */
  dependencies: Record<string, string[]>
  /** Off until an editor switches them on: a new installation calls nobody. */
  sources: CatalogSource[]
}

const APPLE = 'https://www.apple.com/support/systemstatus/data/system_status_en_US.js'
const WORKSPACE = 'https://www.google.com/appsstatus/dashboard/incidents.json'

/**
 * No service gets a guess at its popularity: the prior only has to be right until the baseline is learnt,
 * and a small one for all lets each say by its own reports how large it is.
 */
const PRIOR_PER_HOUR = 2

/** Phones send SMS by themselves; what helps at a tablet, a computer or a browser differs from person to person. */
const SMS_ON_PHONES = { iphone: 'SMS', android: 'SMS' }
/**
 * iPads and Macs have no SMS of their own: to forward it takes an iPhone, which is then the device to use.
 * A watch sends SMS while its iPhone is switched on and connected somewhere: it depends, so there is no entry.
 */
const IMESSAGE_FALLBACKS = { iphone: 'SMS', 'ipad-cellular': null, 'ipad-wifi': null, mac: null }
/** An iPad's plan carries data only, and a call on an iPad or a Mac is an iPhone's call as well. */
const FACETIME_FALLBACKS = { iphone: 'Phone call', 'ipad-cellular': null, 'ipad-wifi': null, mac: null }

/** The seed of `services`, `components`, `device_classes`, `symptoms` and `fallbacks`. */
export const catalog: Catalog = {
  deviceClasses: [
    { slug: 'iphone', name: 'iPhone' },
    { slug: 'ipad-cellular', name: 'iPad with cellular' },
    { slug: 'ipad-wifi', name: 'iPad, wifi only' },
    { slug: 'mac', name: 'Mac' },
    { slug: 'apple-watch', name: 'Apple Watch' },
    { slug: 'android', name: 'Android' },
    { slug: 'windows', name: 'Windows' },
    { slug: 'web', name: 'Web browser' },
    { slug: 'other', name: 'Something else' },
    { slug: 'unknown', name: 'Not said' }
  ],

  symptoms: [
    { slug: 'activation', name: 'Does not activate' },
    { slug: 'signing-in', name: 'Cannot sign in' },
    { slug: 'sending', name: 'Sending fails' },
    { slug: 'receiving', name: 'Nothing arrives' },
    { slug: 'calls', name: 'Calls fail' },
    { slug: 'loading', name: 'Does not load' },
    { slug: 'slow', name: 'Very slow' },
    { slug: 'crashing', name: 'Crashes or error messages' },
    { slug: 'syncing', name: 'Does not sync' },
    { slug: 'playback', name: 'Does not play' },
    { slug: 'payments', name: 'Payments fail' },
    { slug: 'no-signal', name: 'No signal' },
    { slug: 'no-internet', name: 'No internet' },
    { slug: 'data-loss', name: 'Something is missing' },
    { slug: 'other', name: 'Something else' }
  ],

  services: [
    service('imessage', 'iMessage', 'Apple', {
      activation: 'Activation',
      sending: 'Sending',
      receiving: 'Receiving',
      'group-messages': 'Group messages',
      attachments: 'Photos and attachments'
    }, IMESSAGE_FALLBACKS),
    service('facetime', 'FaceTime', 'Apple', {
      activation: 'Activation',
      'video-calls': 'Video calls',
      'audio-calls': 'Audio calls',
      'group-calls': 'Group calls'
    }, FACETIME_FALLBACKS),
    service('apple-account', 'Apple Account (Apple ID)', 'Apple', {
      'signing-in': 'Signing in',
      'two-factor': 'Two-factor codes'
    }),
    service('icloud-mail', 'iCloud Mail', 'Apple'),
    service('icloud-drive', 'iCloud Drive', 'Apple'),
    service('icloud-photos', 'iCloud Photos', 'Apple'),
    service('icloud-backup', 'iCloud Backup', 'Apple'),
    service('app-store', 'App Store', 'Apple', {
      downloads: 'Downloads and updates',
      purchases: 'Purchases',
      search: 'Search'
    }),
    service('apple-music', 'Apple Music', 'Apple'),
    service('apple-tv', 'Apple TV', 'Apple'),
    // The card itself still works at the till and on a web page; whether it is at hand, only its owner knows.
    service('apple-pay', 'Apple Pay', 'Apple'),
    service('apple-maps', 'Apple Maps', 'Apple'),
    service('find-my', 'Find My', 'Apple'),
    service('siri', 'Siri', 'Apple'),

    service('whatsapp', 'WhatsApp', 'Messaging', {
      messages: 'Messages',
      calls: 'Calls',
      'photos-and-files': 'Photos and files',
      'linked-devices': 'Linked devices'
    }, SMS_ON_PHONES),
    service('signal', 'Signal', 'Messaging', {
      registration: 'Registration',
      messages: 'Messages',
      calls: 'Calls'
    }, SMS_ON_PHONES),
    service('telegram', 'Telegram', 'Messaging', {}, SMS_ON_PHONES),
    service('messenger', 'Messenger', 'Messaging', {}, SMS_ON_PHONES),
    service('google-messages', 'Google Messages (RCS)', 'Messaging', {}, { android: 'SMS' }),
    service('discord', 'Discord', 'Messaging', {
      messages: 'Messages',
      voice: 'Voice and video'
    }),

    service('facebook', 'Facebook', 'Social'),
    service('instagram', 'Instagram', 'Social'),
    service('x', 'X (Twitter)', 'Social'),
    service('tiktok', 'TikTok', 'Social'),
    service('snapchat', 'Snapchat', 'Social'),
    service('reddit', 'Reddit', 'Social'),
    service('linkedin', 'LinkedIn', 'Social'),
    service('bluesky', 'Bluesky', 'Social'),

    service('gmail', 'Gmail', 'Mail and search'),
    service('outlook', 'Outlook.com', 'Mail and search'),
    service('yahoo-mail', 'Yahoo Mail', 'Mail and search'),
    service('google-search', 'Google Search', 'Mail and search'),
    service('google-maps', 'Google Maps', 'Mail and search'),

    service('microsoft-365', 'Microsoft 365', 'Work', {
      exchange: 'Exchange mail',
      sharepoint: 'SharePoint',
      onedrive: 'OneDrive',
      'signing-in': 'Signing in'
    }),
    service('microsoft-teams', 'Microsoft Teams', 'Work', {
      chat: 'Chat',
      meetings: 'Meetings',
      calls: 'Calls'
    }),
    service('google-drive', 'Google Drive and Docs', 'Work'),
    service('slack', 'Slack', 'Work'),
    // Meetings that allow it can be joined by telephone; not all do.
    service('zoom', 'Zoom', 'Work', {
      meetings: 'Meetings',
      phone: 'Zoom Phone'
    }),
    service('dropbox', 'Dropbox', 'Work'),
    service('chatgpt', 'ChatGPT', 'Work', {
      chat: 'Chat',
      api: 'API'
    }),
    service('claude', 'Claude', 'Work', {
      chat: 'Chat',
      api: 'API'
    }),

    service('aws', 'Amazon Web Services', 'Cloud', {
      console: 'Console and signing in',
      ec2: 'EC2',
      s3: 'S3',
      lambda: 'Lambda',
      dynamodb: 'DynamoDB',
      kinesis: 'Kinesis',
      rds: 'RDS',
      cloudfront: 'CloudFront',
      'route-53': 'Route 53'
    }),
    service('azure', 'Microsoft Azure', 'Cloud', {
      portal: 'Portal',
      'virtual-machines': 'Virtual Machines',
      storage: 'Storage',
      'front-door': 'Front Door',
      'entra-id': 'Entra ID'
    }),
    service('google-cloud', 'Google Cloud', 'Cloud', {
      console: 'Console',
      'compute-engine': 'Compute Engine',
      'cloud-storage': 'Cloud Storage',
      bigquery: 'BigQuery',
      iam: 'Identity and access'
    }),
    service('cloudflare', 'Cloudflare', 'Cloud', {
      cdn: 'CDN and proxy',
      dns: 'DNS',
      dashboard: 'Dashboard',
      workers: 'Workers'
    }),
    service('github', 'GitHub', 'Cloud', {
      git: 'Git operations',
      actions: 'Actions',
      'pull-requests': 'Issues and pull requests',
      pages: 'Pages'
    }),

    service('youtube', 'YouTube', 'Video and music'),
    service('netflix', 'Netflix', 'Video and music'),
    service('disney-plus', 'Disney+', 'Video and music'),
    service('prime-video', 'Prime Video', 'Video and music'),
    service('crave', 'Crave', 'Video and music'),
    service('twitch', 'Twitch', 'Video and music'),
    service('spotify', 'Spotify', 'Video and music'),

    service('playstation-network', 'PlayStation Network', 'Games'),
    service('xbox-live', 'Xbox network (Xbox Live)', 'Games'),
    service('nintendo-switch-online', 'Nintendo Switch Online', 'Games'),
    service('steam', 'Steam', 'Games'),
    service('roblox', 'Roblox', 'Games'),
    service('fortnite', 'Fortnite', 'Games'),
    service('minecraft', 'Minecraft', 'Games'),

    service('interac', 'Interac', 'Payments', {
      debit: 'Debit at the till',
      'e-transfer': 'e-Transfer'
    }),
    service('visa', 'Visa', 'Payments'),
    service('mastercard', 'Mastercard', 'Payments'),
    service('paypal', 'PayPal', 'Payments'),

    // No fallbacks: wifi calling goes through the carrier as well, and roaming onto another is not the caller's to choose.
    carrier('rogers', 'Rogers', 'Carriers, Canada'),
    carrier('bell', 'Bell', 'Carriers, Canada'),
    carrier('telus', 'Telus', 'Carriers, Canada'),
    carrier('freedom-mobile', 'Freedom Mobile', 'Carriers, Canada'),
    carrier('videotron', 'Videotron', 'Carriers, Canada'),
    carrier('sasktel', 'SaskTel', 'Carriers, Canada'),

    carrier('att', 'AT&T', 'Carriers, United States'),
    carrier('verizon', 'Verizon', 'Carriers, United States'),
    carrier('t-mobile', 'T-Mobile', 'Carriers, United States')
  ],

  // What the companies say themselves, and what failed with whom (Google Cloud 12 June 2025, AWS 20 October 2025, Cloudflare 18 November 2025).
  dependencies: {
    imessage: ['apple-account'],
    facetime: ['apple-account'],
    'icloud-mail': ['apple-account'],
    'icloud-drive': ['apple-account'],
    'icloud-photos': ['apple-account'],
    'icloud-backup': ['apple-account'],
    'app-store': ['apple-account'],
    'apple-music': ['apple-account'],
    'apple-tv': ['apple-account'],
    'find-my': ['apple-account'],
    signal: ['aws'],
    discord: ['google-cloud', 'cloudflare'],
    x: ['cloudflare'],
    snapchat: ['aws', 'google-cloud'],
    reddit: ['aws'],
    outlook: ['azure'],
    'microsoft-365': ['azure'],
    'microsoft-teams': ['azure', 'microsoft-365'],
    slack: ['aws'],
    zoom: ['aws'],
    chatgpt: ['cloudflare'],
    claude: ['cloudflare'],
    github: ['azure'],
    netflix: ['aws'],
    'disney-plus': ['aws'],
    'prime-video': ['aws'],
    twitch: ['aws'],
    spotify: ['google-cloud'],
    'xbox-live': ['azure'],
    minecraft: ['xbox-live'],
    roblox: ['aws'],
    fortnite: ['aws']
  },

  // Addresses as the vendors give them; check one before you switch it on.
  sources: [
    { service: 'imessage', format: 'apple', url: APPLE, names: ['iMessage'] },
    { service: 'facetime', format: 'apple', url: APPLE, names: ['FaceTime'] },
    { service: 'apple-account', format: 'apple', url: APPLE, names: ['Apple Account', 'Apple ID'] },
    { service: 'icloud-mail', format: 'apple', url: APPLE, names: ['iCloud Mail'] },
    { service: 'icloud-drive', format: 'apple', url: APPLE, names: ['iCloud Drive'] },
    { service: 'icloud-photos', format: 'apple', url: APPLE, names: ['Photos', 'iCloud Photos'] },
    { service: 'icloud-backup', format: 'apple', url: APPLE, names: ['iCloud Backup'] },
    { service: 'app-store', format: 'apple', url: APPLE, names: ['App Store'] },
    { service: 'apple-music', format: 'apple', url: APPLE, names: ['Apple Music'] },
    { service: 'apple-tv', format: 'apple', url: APPLE, names: ['Apple TV', 'Apple TV+'] },
    { service: 'apple-pay', format: 'apple', url: APPLE, names: ['Apple Pay', 'Apple Pay & Wallet'] },
    { service: 'apple-maps', format: 'apple', url: APPLE, names: ['Maps Display', 'Maps Search', 'Maps Routing & Navigation', 'Maps Traffic'] },
    { service: 'find-my', format: 'apple', url: APPLE, names: ['Find My'] },
    { service: 'siri', format: 'apple', url: APPLE, names: ['Siri'] },
    { service: 'discord', format: 'statuspage', url: 'https://discordstatus.com/api/v2/summary.json' },
    { service: 'reddit', format: 'statuspage', url: 'https://www.redditstatus.com/api/v2/summary.json' },
    { service: 'gmail', format: 'google-cloud', url: WORKSPACE, names: ['Gmail'] },
    { service: 'google-drive', format: 'google-cloud', url: WORKSPACE, names: ['Google Drive', 'Google Docs', 'Google Sheets', 'Google Slides'] },
    { service: 'slack', format: 'slack', url: 'https://slack-status.com/api/v2.0.0/current' },
    { service: 'zoom', format: 'statuspage', url: 'https://status.zoom.us/api/v2/summary.json' },
    { service: 'dropbox', format: 'statuspage', url: 'https://status.dropbox.com/api/v2/summary.json' },
    { service: 'chatgpt', format: 'statuspage', url: 'https://status.openai.com/api/v2/summary.json' },
    { service: 'claude', format: 'statuspage', url: 'https://status.claude.com/api/v2/summary.json' },
    { service: 'aws', format: 'feed', url: 'https://status.aws.amazon.com/rss/all.rss' },
    { service: 'azure', format: 'feed', url: 'https://azure.status.microsoft/en-us/status/feed/' },
    { service: 'google-cloud', format: 'google-cloud', url: 'https://status.cloud.google.com/incidents.json' },
    { service: 'cloudflare', format: 'statuspage', url: 'https://www.cloudflarestatus.com/api/v2/summary.json' },
    { service: 'github', format: 'statuspage', url: 'https://www.githubstatus.com/api/v2/summary.json' },
    { service: 'twitch', format: 'statuspage', url: 'https://status.twitch.com/api/v2/summary.json' },
    { service: 'fortnite', format: 'statuspage', url: 'https://status.epicgames.com/api/v2/summary.json', names: ['Fortnite'] }
  ]
}

/** A service with the usual prior; components and fallbacks by their slugs, in order. */
function service (slug: string, name: string, group: string, components: Record<string, string> = {}, fallbacks: Record<string, string | null> = {}): CatalogService {
  return {
    slug,
    name,
    group,
    expectedPerHour: PRIOR_PER_HOUR,
    components: Object.entries(components).map(([slug, name]) => ({ slug, name })),
    fallbacks
  }
}

/** A carrier is one service: what fails of it is a component. */
function carrier (slug: string, name: string, group: string): CatalogService {
  return service(slug, name, group, {
    'mobile-calls': 'Mobile calls',
    texts: 'Text messages',
    'mobile-data': 'Mobile data',
    'home-internet': 'Home internet'
  })
}
