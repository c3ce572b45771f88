// How numbers, sizes and times are written. Pure; `now` is an argument.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const digits = [0, 1, 2, 3].map((n) => new Intl.NumberFormat('en', { maximumFractionDigits: n, minimumFractionDigits: 0 }))
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** 1,234,567. */
export function count(n) {
  return n === null || n === undefined ? '–' : whole.format(n)
}

/** An amount of something that is counted, or of bytes if its name or setting says so. */
export function amount(name, n) {
  return /bytes/.test(name) ? bytes(n) : short(n)
}

/** 1.2M; numbers below 10,000 as they are. */
export function short(n) {
  if (n === null || n === undefined) return '–'
  return Math.abs(n) < 10_000 ? whole.format(n) : compact.format(n)
}

/** A rate: as many digits as mean something. */
export function rate(n) {
  if (n === null || n === undefined) return '–'
  if (n >= 10_000) return compact.format(n)
  return digits[n !== 0 && Math.abs(n) < 10 ? 1 : 0].format(n)
}

/** A measured value: four significant digits, never exponents for what people read at a bedside. */
export function value(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–'
  const size = Math.abs(n)
  if (size >= 1e7 || (size > 0 && size < 1e-3)) return n.toPrecision(4)
  return digits[size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3].format(n)
}

/** 1.4 GB. */
export function bytes(n) {
  if (n === null || n === undefined) return '–'
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let unit = 0
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000
    unit += 1
  }
  return `${digits[n < 10 && unit > 0 ? 1 : 0].format(n)} ${units[unit]}`
}

/** 12 s, 4 min, 3 h, 2 d. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–'
  const s = Math.max(0, seconds)
  if (s < 1) return s === 0 ? '0 s' : '< 1 s'
  if (s < 60) return `${Math.floor(s)} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 86_400) return `${Math.floor(s / 3600)} h${s < 36_000 && s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`
  return `${Math.floor(s / 86_400)} d`
}

/** How long ago `time` (RFC 3339) was: "12 s ago", "now". */
export function ago(time, now) {
  if (!time) return 'never'
  const seconds = (now - Date.parse(time)) / 1000
  if (Number.isNaN(seconds)) return String(time)
  if (seconds < -5) return `in ${span(-seconds)}`
  // The hour is enough; the exact time is a hover away.
  return seconds < 1.5 ? 'now' : `${span(seconds < 3600 ? seconds : seconds - (seconds % 3600))} ago`
}

/** 12:03:09, with the date where it is not today's. */
export function clock(time, now) {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return String(time ?? '–')
  const two = (n) => String(n).padStart(2, '0')
  const hours = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  if (new Date(now).toDateString() === date.toDateString()) return hours
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${hours}`
}

const SPELLED = { spo2: 'SpO₂', etco2: 'EtCO₂', co2: 'CO₂', o2: 'O₂', nibp: 'NIBP', abp: 'ABP', ecg: 'ECG', news2: 'NEWS2', ehr: 'EHR', fhir: 'FHIR', json: 'JSON', cbor: 'CBOR', mqtt: 'MQTT', tls: 'TLS', utf8: 'UTF-8' }

/** `heart_rate` as words. */
export function words(name) {
  return String(name).split('_').map((word) => SPELLED[word] ?? word).join(' ')
}

/** A rule's name, `fridge-warm`, as words. */
export function ruleWords(name) {
  return words(String(name ?? '').replaceAll('-', '_'))
}

/** Units as they are read: UCUM's `Cel`, `mm[Hg]`, `1` and annotations by their signs. */
export function unit(ucum) {
  if (!ucum || ucum === '1') return ''
  const known = { Cel: '°C', '[degF]': '°F', 'mm[Hg]': 'mmHg', 'cm[H2O]': 'cmH₂O', '{score}': '', '/min': '/min', '[ppm]': 'ppm', 'dB[W]': 'dBW' }
  if (ucum in known) return known[ucum]
  return ucum.replace(/\{[^}]*\}/g, '').replace(/[[\]]/g, '')
}

/** What was measured, as alerts say it (`9.5 Cel`, or a number): the unit as it is read. */
export function measured(said) {
  if (typeof said === 'number') return value(said)
  const found = /^(-?[\d.]+(?:e-?\d+)?) (\S+)$/.exec(said ?? '')
  return found ? `${value(Number(found[1]))} ${unit(found[2])}`.trim() : (said ?? '')
}

/** The numbers that a condition (`above 8 for 2m`, `outside 18 to 27`) draws lines at. */
export function limitsOf(condition) {
  if (typeof condition === 'number') return [condition]
  const found = /^(?:above|below|outside) (-?[\d.]+)(?:(?: to |\.\.|–|, ?| and )(-?[\d.]+))?/.exec(condition ?? '')
  return found ? found.slice(1).filter(Boolean).map(Number) : []
}

/** When a time that is shown ends: now, or with the last value of a device whose time is another (a replay, a wrong clock). */
export function endOf(event, now, seconds) {
  const last = Date.parse(event)
  return Number.isNaN(last) || Math.abs(now - last) < seconds * 1000 ? now : last + 1000
}

/** One thing, two things. */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** `2h`, as the API takes spans, in words. */
export function spanWords(text) {
  const found = /^(\d+)([smhd])$/.exec(text)
  if (!found) return text
  const word = { s: 'second', m: 'minute', h: 'hour', d: 'day' }[found[2]]
  return plural(Number(found[1]), word)
}
