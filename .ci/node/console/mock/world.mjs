// A ward that is made up: devices with values that move, sources with books, alerts, dead letters. Time is an argument.

const VITALS = [
  ['heart_rate', '/min', 78, 9], ['spo2', '%', 96.4, 1.4], ['resp_rate', '/min', 16, 3], ['nibp_sys', 'mm[Hg]', 124, 10], ['nibp_dia', 'mm[Hg]', 76, 7], ['temp_body', 'Cel', 37.1, 0.4],
]
const KINDS = {
  monitor: VITALS,
  pump: [['infusion_rate', 'mL/h', 42, 6], ['volume_infused', 'mL', 310, 40], ['pressure', 'mm[Hg]', 210, 30]],
  fridge: [['fridge_temp', 'Cel', 4.6, 0.9], ['door_open', null, null, 0]],
  room: [['room_temp', 'Cel', 22.4, 0.8], ['humidity', '%', 44, 4], ['co2', '[ppm]', 640, 120]],
  thermometer: [['temperature', 'Cel', 21.5, 0.6]],
}
const WARD = ['monitor', 'monitor', 'monitor', 'monitor', 'monitor', 'monitor', 'pump', 'pump', 'fridge', 'fridge', 'room', 'thermometer']
const SITES = ['ward-3', 'icu', 'ward-5', 'pharmacy', 'lab']

/** A number from 0 to 1 that depends on nothing but its arguments. */
function noise(...parts) {
  let hash = 2_166_136_261
  for (const char of parts.join('/')) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 2_246_822_507)
  hash ^= hash >>> 13
  return (hash >>> 0) / 4_294_967_296
}

/** What a metric of a device is at a time: slow waves, and a little noise. */
export function valueAt(device, metric, ms) {
  const [, , middle, sway] = metric
  if (middle === null) return null
  const phase = noise(device, metric[0]) * 6.28
  const slow = Math.sin(ms / 240_000 + phase) * 0.6 + Math.sin(ms / 47_000 + phase * 2) * 0.3
  const jitter = (noise(device, metric[0], Math.floor(ms / 1000)) - 0.5) * 0.35
  const offset = (noise('middle', device, metric[0]) - 0.5) * 1.2
  const digits = middle < 10 || metric[1] === 'Cel' ? 10 : 1
  return Math.round((middle + sway * (slow + jitter + offset)) * digits) / digits
}

export function rfc(ms) {
  return new Date(ms).toISOString()
}

function makeDevice(n, count) {
  const kind = count <= 12 ? WARD[n % WARD.length] : WARD[Math.floor(noise('kind', n) * 10)]
  const site = kind === 'thermometer' ? 'home' : kind === 'fridge' ? 'pharmacy' : count <= 12 ? (n < 4 ? 'ward-3' : 'icu') : SITES[n % 3]
  const number = count <= 12 ? WARD.slice(0, n + 1).filter((one) => one === kind).length : n + 1
  const name = kind === 'thermometer' ? 'livingroom' : `${kind}-${String(number).padStart(count <= 12 ? 3 : 4, '0')}`
  const source = kind === 'thermometer' ? 'gateway-1' : site === 'icu' ? 'agent-icu' : 'gateway-1'
  return { site, device: name, kind, source, metrics: KINDS[kind], heard: 0, counts: new Map(), messages: 0 }
}

export class World {
  constructor({ devices = 12, now = Date.now(), calm = false, empty = false, role = 'admin' } = {}) {
    this.role = role
    this.calm = calm
    this.empty = empty
    this.begun = now
    this.devices = empty ? [] : Array.from({ length: devices }, (_, n) => makeDevice(n, devices))
    this.devices.sort((a, b) => `${a.site}/${a.device}`.localeCompare(`${b.site}/${b.device}`))
    for (const device of this.devices) device.heard = now - Math.floor(noise('heard', device.device) * 4000)
    this.landed = { rows: 0, messages: 0 }
    this.deadLetters = empty || calm ? [] : makeDeadLetters(now)
    this.alerts = empty || calm ? [] : makeAlerts(now, this.devices)
    this.history = makeHistory(now, this.alerts)
    this.landings = empty ? [] : Array.from({ length: 25 }, (_, n) => makeLanding(now - n * 2100, n))
    this.silent = new Set(empty || calm ? [] : [this.devices.find((one) => one.kind === 'pump')?.device])
    this.maintenance = []
  }

  statusOf(device) {
    if (this.silent.has(device.device)) return 'silent'
    return device.source === 'agent-7' ? 'unknown' : 'online'
  }

  /** Devices that speak at `now`: each every few seconds. */
  tick(now) {
    const spoke = this.devices.filter((device, n) => !this.silent.has(device.device) && Math.floor(now / 1000) % 4 === n % 4)
    for (const device of spoke) {
      device.heard = now
      device.messages += 1
    }
    return spoke
  }

  land(now) {
    const rows = this.devices.length * 9
    this.landed.rows += rows
    this.landed.messages += this.devices.length * 2
    this.landings.unshift(makeLanding(now, this.landings.length))
    this.landings.length = Math.min(this.landings.length, 50)
    return { rows, messages: this.devices.length * 2 }
  }

  describe(device) {
    const late = device.kind === 'pump' ? 3 : 0
    return {
      site: device.site,
      device: device.device,
      source: device.source,
      status: this.statusOf(device),
      heard: rfc(this.silent.has(device.device) ? this.begun - 540_000 : device.heard),
      rows_per_minute: this.silent.has(device.device) ? 0 : device.metrics.length * 15,
      metrics: device.metrics.map((metric) => this.describeMetric(device, metric, late)),
      alerts: this.alerts.filter((alert) => alert.device === device.device && alert.site === device.site && alert.state !== 'resolved'),
    }
  }

  describeMetric(device, metric, late) {
    const [name, unit] = metric
    const text = metric[2] === null ? 'closed' : null
    const firing = this.alerts.find((alert) => alert.device === device.device && alert.metric === name && alert.state !== 'resolved')
    const value = text === null ? (firing ? Number.parseFloat(firing.value) + (valueAt(device.device, metric, device.heard) - metric[2]) * 0.1 : valueAt(device.device, metric, device.heard)) : null
    const quality = device.kind === 'thermometer' ? 'unchecked' : name === 'pressure' ? 'suspect' : 'good'
    const all = 4800 + Math.floor(noise(device.device, name, 'n') * 900)
    const counts = { good: quality === 'good' ? all : 0, unchecked: quality === 'unchecked' ? all : 0, suspect: quality === 'suspect' ? all : Math.floor(noise(name, device.device) * 30), bad: Math.floor(noise(device.device, name, 'bad') * 6) }
    return { metric: name, value: value === null ? null : Math.round(value * (value < 60 ? 10 : 1)) / (value < 60 ? 10 : 1), text, unit, quality, event: rfc(device.heard), counts, late }
  }
}

function makeAlerts(now, devices) {
  const on = (kind, n = 0) => devices.filter((device) => device.kind === kind)[n] ?? devices[0]
  const alert = (number, rule, severity, state, device, metric, value, threshold, ago, more = {}) => ({
    alert: `a${number}f3c9d2e7b1`, rule, severity, state, site: device.site, device: device.device, source: device.source, metric, value, threshold, since: rfc(now - ago * 1000), by: null, until: null, ...more,
  })
  return [
    alert(1, 'fridge-warm', 'critical', 'firing', on('fridge'), 'fridge_temp', '8.9 Cel', 'above 8 for 15m', 1260),
    alert(2, 'news2-urgent', 'warning', 'firing', on('monitor', 2), '', 'NEWS2 6 or more; not known: consciousness', 'NEWS2 at least 5 for 5m', 340),
    alert(3, 'pump-silent', 'warning', 'firing', on('pump'), '', '', 'nothing heard for 5m', 420),
    alert(4, 'tachycardia', 'warning', 'acknowledged', on('monitor', 1), 'heart_rate', '128 /min', 'above 120 for 10s', 2900, { by: 'f.keller' }),
    alert(5, 'room-out-of-band', 'info', 'silenced', on('room'), 'room_temp', '27.8 Cel', 'outside 18 to 27 for 10m', 9100, { by: 'f.keller', until: rfc(now + 5_400_000) }),
    alert(6, 'hypoxia', 'critical', 'pending', on('monitor', 3), 'spo2', '89 %', 'below 90 for 1m', 24),
  ]
}

function makeHistory(now, alerts) {
  const steps = alerts.flatMap((alert) => [
    { ...alert, before: 'resolved', state: 'pending', by: null, reason: 'condition', at: rfc(Date.parse(alert.since) - 60_000) },
    ...(alert.state === 'pending' ? [] : [{ ...alert, before: 'pending', state: 'firing', by: null, reason: 'condition', at: alert.since }]),
    ...(['acknowledged', 'silenced'].includes(alert.state) ? [{ ...alert, before: 'firing', reason: 'person', at: rfc(Date.parse(alert.since) + 95_000) }] : []),
  ])
  const old = alerts.length ? Array.from({ length: 40 }, (_, n) => ({ ...alerts[n % alerts.length], alert: `old${n}`, before: 'firing', state: n % 2 ? 'firing' : 'resolved', reason: 'condition', by: null, at: rfc(now - 7_200_000 - n * 1_900_000) })) : []
  return [...steps, ...old].sort((a, b) => b.at.localeCompare(a.at))
}

const RULE = `[[ingest.topics]]
filter = "greenhouse/+/raw"
decoder = "values"
site = "greenhouse"
device = "{1}"
settings.encoding = "cbor"
settings.unit = { t = "Cel", rh = "%" }
`

function makeDeadLetters(now) {
  const one = (reason, topic, count, ago, samples, suggestion = null) => ({ reason, topic, count, last: now - ago * 1000, samples, suggestion })
  return [
    one('json_truncated', 'dt/ward-3/monitor-004/readings', 41, 35, ['{"ts":"2026-11-26T12:00:00.123Z","metric":"heart_rate","val', '{"ts":"2026-11-26T11:59:58.110Z","metric":"spo2","value":96,"unit":"%","se']),
    one('json_truncated', 'dt/icu/pump-001/readings', 6, 2400, ['{"ts":"2026-11-26T11:20:11.000Z","metric":"infusion_rate",']),
    one('cbor_syntax', 'greenhouse/bed-7/raw', 128, 8, [Buffer.from('a2617418fd62726819019fff00ff7e11', 'hex'), Buffer.from('a26174fb4035800000000000627268ff', 'hex')], RULE),
    one('value_missing', 'zigbee2mqtt/door-east', 12, 310, ['{"battery":81,"linkquality":102,"contact":null,"note":"<img src=x onerror=alert(1)>"}'], RULE.replace('greenhouse/+/raw', 'zigbee2mqtt/+').replace('"greenhouse"', '"home"')),
    one('topic_not_allowed', 'dt/ward-5/monitor-011/readings', 3, 5200, ['{"ts":"2026-11-26T10:31:00.000Z","metric":"spo2","value":97}']),
  ]
}

function makeLanding(ms, n) {
  const tables = { readings: 480 + ((n * 37) % 160), device_status: n % 5 === 0 ? 12 : 0, ehr_events: n % 3 === 0 ? 9 : 0, dead_letters: n % 7 === 0 ? 2 : 0, alerts: n % 11 === 0 ? 1 : 0 }
  for (const name of Object.keys(tables)) if (!tables[name]) delete tables[name]
  const from = 1_204_118 - n * 640
  return { landing: `${ms}-${n}`, landed: rfc(ms), worker: 'a7c1', epoch: '5d0c1f7a93be2264', source: n % 3 === 2 ? 'agent-icu' : 'gateway-1', from, to: from + 640, rows: Object.values(tables).reduce((a, b) => a + b, 0), tables }
}
