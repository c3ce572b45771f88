// What the made-up ward answers, in the forms of the API.

import { rfc, valueAt } from './world.mjs'

const ROLES = {
  admin: ['devices', 'alerts', 'act', 'lake', 'dead_letters', 'connections', 'config', 'patients'],
  operator: ['devices', 'alerts', 'act', 'lake', 'dead_letters', 'connections', 'config'],
  analyst: ['devices', 'lake'],
  clinician: ['devices', 'alerts', 'act', 'patients'],
}

const may = (world, what) => ROLES[world.role].includes(what)
const forbid = (what) => ({ status: 403, body: { error: `This needs the right to see ${what}: ask for another role` } })
const missing = (what) => ({ status: 404, body: { error: `There is no ${what}` } })
const ok = (body) => ({ status: 200, body })

function page(list, query, most = 1000) {
  const limit = Math.min(Number(query.get('limit') ?? 100), most)
  const from = Number(query.get('after') ?? 0)
  const next = from + limit < list.length ? String(from + limit) : null
  return { items: list.slice(from, from + limit), next }
}

function totals(world, devices) {
  const of = (status) => devices.filter((device) => world.statusOf(device) === status).length
  return { online: of('online'), silent: of('silent'), unknown: of('unknown') }
}

function overview(world, now) {
  const state = (name) => world.alerts.filter((alert) => alert.state === name).length
  const wave = Math.sin(now / 9000) * 0.12 + Math.sin(now / 2300) * 0.06
  const devices = world.devices.length
  const troubles = world.calm || world.empty ? [] : [
    { what: 'Dead letters rise: cbor_syntax', since: rfc(now - 240_000), remedy: 'Mend what publishes to greenhouse/bed-7/raw, or write a rule for it: see Dead letters.', severity: 'warning' },
    { what: 'Disk of the spool is 86 % full', since: rfc(now - 1_900_000), remedy: 'Make room, or raise gateway.spool.max_bytes. At 100 % messages are refused.', severity: 'warning' },
  ]
  return {
    time: rfc(now), version: '0.1.0', worker: 'a7c1',
    rates: { messages_per_s: devices * 0.9 * (1 + wave), rows_per_s: devices * 3.4 * (1 + wave * 1.3), landings_per_min: devices ? 28 : 0 },
    devices: totals(world, world.devices),
    alerts: { firing: state('firing'), acknowledged: state('acknowledged'), silenced: state('silenced'), pending: state('pending') },
    sources: world.empty ? 0 : 3,
    lag: { messages: devices * 2, oldest_s: world.empty ? 0 : 1.6 + wave * 3 },
    dead_letters: { total: world.deadLetters.reduce((all, one) => all + one.count, 0), last_hour: world.deadLetters.filter((one) => one.last > now - 3_600_000).reduce((all, one) => all + one.count, 0) },
    troubles,
  }
}

function devices(world, query) {
  const q = (query.get('q') ?? '').toLowerCase()
  const site = query.get('site')
  const status = query.get('status')
  const found = world.devices.filter((device) => (!site || device.site === site) && (!q || `${device.site} ${device.device} ${device.source}`.toLowerCase().includes(q)))
  const { items, next } = page(status ? found.filter((device) => world.statusOf(device) === status) : found, query)
  return ok({ devices: items.map((device) => world.describe(device)), totals: totals(world, found), next })
}

function oneDevice(world, device) {
  const described = world.describe(device)
  const topic = device.kind === 'thermometer' ? 'home/livingroom/temperature' : `dt/${device.site}/${device.device}/readings`
  const [first] = described.metrics
  const payload = device.kind === 'thermometer' ? String(first.value) : JSON.stringify({ ts: described.heard, seq: 10_311 + device.messages, metric: first.metric, value: first.value, unit: first.unit })
  const rules = { monitor: [['news2-urgent', 'NEWS2 at least 5 for 5m'], ['tachycardia', 'heart_rate above 120 for 10s, clear at 115'], ['monitor-silent', 'nothing heard for 2m']], fridge: [['fridge-warm', 'fridge_temp above 8 for 15m, clear at 7.5'], ['fridge-stuck', 'fridge_temp the same for 2h']], pump: [['pump-silent', 'nothing heard for 5m']] }[device.kind] ?? []
  return ok({ ...described, rules: rules.map(([name, condition]) => ({ name, condition })), topic, raw: { topic, payload, received: described.heard, masked: false, cut: false } })
}

function series(world, device, query, now) {
  const metric = device.metrics.find(([name]) => name === query.get('metric'))
  if (!metric) return missing(`metric ${query.get('metric')} of this device`)
  const from = Date.parse(query.get('from'))
  const to = Math.min(Date.parse(query.get('to')), now)
  const points = Math.min(Number(query.get('points') ?? 1000), 10_000)
  const step = Math.max(4000, (to - from) / points)
  const firing = world.alerts.find((alert) => alert.device === device.device && alert.metric === metric[0])
  const list = []
  if (metric[2] !== null) {
    for (let ms = from; ms < to - 2000; ms += step) {
      const base = valueAt(device.device, metric, ms)
      const since = firing ? (ms - Date.parse(firing.since)) / 240_000 : -9
      const risen = firing ? base + (Number.parseFloat(firing.value) - metric[2]) / (1 + Math.exp(-3 * since - 3)) * 0.95 : base
      const quality = metric[0] === 'pressure' || Math.floor(ms / 4000) % 97 === 0 ? 'suspect' : 'good'
      list.push([Math.round(ms), Math.round(risen * 100) / 100, quality])
    }
  }
  return ok({ metric: metric[0], unit: metric[1], points: list, more: step > 4000 })
}

function deviceRoutes(world, parts, query, now) {
  const [, site, name, what] = parts
  if (!site) return devices(world, query)
  const device = world.devices.find((one) => one.site === site && one.device === name)
  if (!device) return missing(`device ${name} at ${site}`)
  if (what === 'series') return series(world, device, query, now)
  return what ? missing(what) : oneDevice(world, device)
}

function sources(world, now) {
  if (world.empty) return { sources: [] }
  const book = (source, state, accepted, pending, dropped, dead, heard, devices) => ({ source, epoch: '5d0c1f7a93be2264', state, accepted, landed: accepted - pending - dropped, pending, dropped, dead_letters: dead, heard: rfc(now - heard * 1000), devices, lag_seconds: source === 'gateway-1' ? 0.2 : null, window: source === 'gateway-1' ? 16_777_216 : null, version: '0.1.0' })
  const n = world.devices.filter((device) => device.source === 'gateway-1').length
  const list = [book('gateway-1', 'here', 1_204_758 + world.landed.messages, 24, 0, 184, 0.4, n), book('agent-icu', 'here', 388_120, 6, 0, 6, 1.2, world.devices.length - n)]
  if (!world.calm) list.push(book('agent-7', 'behind', 91_400, 2210, 0, 0, 14, 9), book('agent-ambulance', 'away', 20_311, 118, 40, 0, 1900, 3))
  return { sources: list }
}

const ABOUT = { readings: 'One scalar measurement a row.', ehr_events: 'One version of one EHR resource, or one component of it, a row.', device_status: 'One birth, death, heartbeat or battery report of one device a row.', alerts: 'One step of one alert a row.', dead_letters: 'One message that could not become rows, or not all of them, with its bytes and the reason.', landings: 'The ledger: what landed when, and in which files.', vitals_1m: 'View: each metric of each device by minutes.', device_latest: 'View: the last value of each metric of each device.' }

function tables(world, now) {
  const rows = { readings: 4_812_377, ehr_events: 91_204, device_status: 18_110, alerts: 412, dead_letters: 190, landings: 61_377, vitals_1m: 402_118, device_latest: 71 }
  const list = Object.entries(rows).map(([name, n], i) => ({ name, rows: world.empty ? 0 : n + (name === 'readings' ? world.landed.rows : 0), files: world.empty ? 0 : [412, 96, 61, 40, 22, 118, 14, 1][i], bytes: world.empty ? 0 : Math.round(n * [7.1, 210, 24, 90, 310, 150, 22, 60][i]), version: [61_377, 20_411, 4100, 412, 171, 61_377, 1440, 1440][i], newest: world.empty ? null : rfc(now - [1500, 6000, 21_000, 340_000, 8000, 1500, 60_000, 60_000][i]), about: ABOUT[name] }))
  const hour = Math.floor(now / 3_600_000)
  const sites = ['ward-3', 'icu', 'pharmacy', 'ward-5']
  const sealed = world.empty ? [] : sites.map((site) => ({ site, hour: rfc((site === 'ward-5' ? hour - 6 : hour - 1) * 3_600_000) }))
  return { tables: list, last_compaction: world.empty ? null : rfc(now - 5_100_000), sealed }
}

function connections(world, now) {
  const clients = world.devices.slice(0, 1000).map((device, n) => ({ client_id: device.device, identity: device.kind === 'thermometer' ? '' : `${device.device}.${device.site}`, connected: !world.silent.has(device.device), since: rfc(now - 60_000 * (n % 50) - 40_000), waiting: world.silent.has(device.device) ? 4 : null }))
  const refusals = world.calm || world.empty ? [] : [{ reason: 'login_refused', count: 17, last: rfc(now - 91_000) }, { reason: 'topic_not_allowed', count: 3, last: rfc(now - 5_200_000) }, { reason: 'too_many_connections', count: 1, last: rfc(now - 64_000_000) }]
  return { connections: clients, refusals, next: null }
}

const CONFIG = {
  log: { level: 'info', format: 'text' },
  lake: { url: 's3://ward/lake' },
  gateway: { source_id: 'gateway-1', listen: '0.0.0.0:8883', admin_token_file: '***', limits: { connections_max: 10_000, publish_rate_max: null }, listeners: [{ listen: '0.0.0.0:8884', transport: 'wss' }] },
  ingest: { broker: 'localhost:8883', worker: 'a7c1', password_file: '***', flush_age_ms: 2000, sources: { 'agent-*': ['dt/#'] } },
}

const LIMITS = [['spool_bytes', 0.86, 8e9, 'New messages are refused.', 'gateway.spool.max_bytes'], ['connections', 0.14, 1000, 'Further clients are refused.', 'gateway.limits.connections'], ['sessions', 0.21, 2000, 'Further sessions are refused.', 'gateway.limits.sessions'], ['retained_bytes', 0.44, 64e6, 'Further retained messages are not kept.', 'gateway.limits.retained_bytes'], ['topics', 0.62, 10_000, 'further topics are not listed; their messages land all the same', null]]

function topics(world, now) {
  const own = world.devices.slice(0, 400).map((device) => ({ topic: device.kind === 'thermometer' ? 'home/livingroom/temperature' : `dt/${device.site}/${device.device}/readings`, rule: device.kind === 'thermometer' ? '#' : 'dt/+/+/readings', rows_per_minute: world.silent.has(device.device) ? 0 : device.metrics.length * 15, last: rfc(device.heard), bytes: (88 + device.metrics.length * 7) * (40_000 + device.messages), dead_letters: 0 }))
  const dead = world.deadLetters.map((one) => ({ topic: one.topic, rule: '#', rows_per_minute: 0, last: rfc(one.last), bytes: 64 * one.count, dead_letters: one.count }))
  return { topics: [...own.filter((one) => !dead.some((other) => other.topic === one.topic)), ...dead].sort((a, b) => a.topic.localeCompare(b.topic)), left_out: 0, next: null }
}

function deadLetters(world) {
  const reasons = new Map()
  for (const one of world.deadLetters) {
    const known = reasons.get(one.reason) ?? { reason: one.reason, count: 0, last: 0, topics: [] }
    known.count += one.count
    known.last = Math.max(known.last, one.last)
    known.topics.push({ topic: one.topic, count: one.count })
    reasons.set(one.reason, known)
  }
  return { reasons: [...reasons.values()].map((one) => ({ ...one, last: rfc(one.last) })) }
}

function wanted(world, { reason, topic }) {
  return world.deadLetters.filter((one) => (!reason || one.reason === reason) && (!topic || one.topic === topic))
}

function samples(world, query) {
  const found = wanted(world, { reason: query.get('reason'), topic: query.get('topic') })
  return { samples: found.flatMap((one, i) => one.samples.map((payload, n) => ({ source: 'gateway-1', epoch: '5d0c1f7a93be2264', offset: 1_204_001 - i * 1000 - n * 37, received: rfc(one.last - n * 9000), topic: one.topic, reason: one.reason, bytes: payload.length, masked: false, payload_text: typeof payload === 'string' ? payload : null, payload_base64: Buffer.from(payload).toString('base64'), suggestion: one.suggestion }))) }
}

function replay(world, body) {
  const found = wanted(world, body)
  const n = found.reduce((all, one) => all + one.count, 0)
  const stay = found.filter((one) => one.reason === 'json_truncated')
  const refused = stay.reduce((all, one) => all + one.count, 0)
  world.deadLetters = world.deadLetters.filter((one) => !found.includes(one) || stay.includes(one))
  return { wanted: n, landed: n - refused, before: 0, refused, partly: 0 }
}

function actOnAlert(world, id, what, body, now) {
  const alert = world.alerts.find((one) => one.alert === id)
  if (!alert) return missing('such alert')
  if (!['firing', 'acknowledged'].includes(alert.state)) return { status: 409, body: { error: `It is ${alert.state}: only alerts that fire can be acknowledged or silenced` } }
  const spans = { m: 60_000, h: 3_600_000, d: 86_400_000 }
  alert.state = what === 'silence' ? 'silenced' : 'acknowledged'
  alert.by = 'f.keller'
  if (what === 'silence') alert.until = rfc(now + Number.parseInt(body.for, 10) * spans[body.for.at(-1)])
  world.history.unshift({ ...alert, before: 'firing', reason: 'person', at: rfc(now) })
  return { ...ok({}), event: ['alert', alert] }
}

/** Answers a request of the API: `{ status, body, event? }`. */
export function answer(world, { method, path, query, body, now }) {
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent)
  const get = method === 'GET'
  switch (`${method} ${parts[0]}`) {
    case 'GET me': return ok({ name: 'f.keller', role: world.role, may: ROLES[world.role] })
    case 'GET overview': return ok(overview(world, now))
    case 'GET sources': return ok(sources(world, now))
    case 'GET devices': return deviceRoutes(world, parts, query, now)
    case 'GET landings': return ok({ landings: world.landings.slice(0, Number(query.get('limit') ?? 100)) })
    case 'GET tables': return ok(tables(world, now))
    case 'GET connections': return may(world, 'connections') ? ok(connections(world, now)) : forbid('connections')
    case 'GET limits': return ok({ limits: world.empty ? [] : LIMITS.map(([name, share, max, effect, setting]) => ({ name, used: Math.round(max * (world.calm ? share / 2 : share)), max, effect, setting })) })
    case 'GET config': return may(world, 'config') ? ok({ config: CONFIG }) : forbid('config')
    case 'GET topics': return ok(topics(world, now))
    case 'POST maintenance':
      if (!may(world, 'act')) return forbid('and change alerts')
      world.maintenance.push(body)
      return ok({})
    default:
  }
  if (parts[0] === 'alerts') {
    if (!may(world, get ? 'alerts' : 'act')) return forbid('alerts')
    if (!get) return actOnAlert(world, parts[1], parts[2], body, now)
    if (parts[1] === 'history') {
      const { items, next } = page(world.history, query)
      return ok({ transitions: items, next })
    }
    const state = query.get('state')
    return ok({ alerts: world.alerts.filter((alert) => !state || alert.state === state), next: null })
  }
  if (parts[0] === 'dead-letters') {
    if (get && !parts[1]) return ok(deadLetters(world))
    if (!may(world, 'dead_letters')) return forbid('payloads')
    return ok(get ? samples(world, query) : replay(world, body))
  }
  return missing(path)
}
