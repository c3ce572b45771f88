// Every device: state, last values, a line of what they were, and the search for one.

import { at } from '../api.js'
import { h } from '../dom.js'
import { count, endOf, plural, rate, short, unit, value, words } from '../format.js'
import { List, grid } from '../list.js'
import { Pages } from '../pages.js'
import { search, segments, stateOf, when } from '../parts.js'
import { Past } from '../past.js'
import { go, link, replace } from '../router.js'
import { spark } from '../spark.js'
import { failed, skeleton, state } from '../states.js'

const PAGE = 200
const HEIGHT = 56
const HEIGHT_ON_PHONES = 84
const narrow = matchMedia('(max-width: 760px)')
const COLUMNS = [
  { label: 'Device', class: 'cell-device' },
  { label: 'State', class: 'cell-state' },
  { label: 'Last values', class: 'cell-values' },
  { label: 'Trend', class: 'cell-trend' },
  { label: 'Rows a minute', class: 'cell-number cell-rate' },
  { label: 'Heard', class: 'cell-heard' },
]

/** The reading that stands for a device: the first one with a number. */
export function leading(device) {
  return device.metrics?.find((metric) => metric.value !== null && metric.value !== undefined)
}

export function devices(ctx) {
  const list = new List(ctx.redraw)
  const past = new Past((device, metric, signal) => lately(ctx, device, metric, signal), ctx.redraw)
  let { query } = ctx.route
  let pages = read()

  function read() {
    const { q, status, site } = query
    return new Pages(async (after, signal) => {
      const answer = await ctx.api.get('/devices', { q, status, site, metrics: true, limit: PAGE, after }, signal)
      for (const device of answer.devices) past.add(device, leading(device))
      return { items: answer.devices, next: answer.next ?? null, totals: answer.totals }
    }, ctx.redraw)
  }

  function ask(changed) {
    query = { ...query, ...changed }
    replace(link('devices', [], query))
    pages.close()
    pages = read()
    list.active = 0
    ctx.redraw()
  }

  return {
    routed(route) {
      query = { ...route.query }
      pages.close()
      pages = read()
    },
    heard(name) {
      if (name === 'heard' || name === 'alert' || name === 'missed') pages.changed()
    },
    close() {
      pages.close()
      past.close()
    },
    draw: () => ({ title: 'Devices', body: [bar(ctx, query, pages, ask), rows(ctx, { list, pages, past, query })] }),
  }
}

const LATELY_S = 900

async function lately(ctx, { site, device }, metric, signal) {
  const to = endOf(metric.event, ctx.now(), LATELY_S)
  const query = { metric: metric.metric, from: new Date(to - LATELY_S * 1000).toISOString(), to: new Date(to).toISOString(), points: 40 }
  return (await ctx.api.get(`/devices${at(site, device)}/series`, query, signal)).points
}

function bar(ctx, query, pages, ask) {
  const totals = pages.totals ?? ctx.app.overview?.value?.devices
  const all = totals ? totals.online + totals.silent + totals.unknown : null
  const one = (status, text, n) => ({ text, number: n === null || n === undefined ? null : short(n), current: (query.status ?? '') === status, href: link('devices', [], { ...query, status }) })
  return h('div', { class: 'toolbar' }, [
    search({ label: 'Search devices and sites', value: query.q ?? '', changed: (q) => ask({ q }) }),
    segments('State', [one('', 'All', all), one('online', 'Online', totals?.online), one('silent', 'Silent', totals?.silent), one('unknown', 'Unknown', totals?.unknown)]),
    query.site ? h('a', { class: 'chip', href: link('devices', [], { ...query, site: '' }), 'aria-label': `Site ${query.site}: show all sites` }, [`site ${query.site}`, ' ×']) : null,
  ])
}

function total(pages, status) {
  if (!pages.more || !pages.totals) return pages.rows.length
  const all = status ? pages.totals[status] : pages.totals.online + pages.totals.silent + pages.totals.unknown
  return Math.max(pages.rows.length, all ?? 0)
}

function rows(ctx, { list, pages, past, query }) {
  if (!pages.begun) return pages.error ? failed(pages.error, () => pages.retry()) : skeleton(8)
  const n = total(pages, query.status)
  if (n === 0) return nothing(query)
  const height = narrow.matches ? HEIGHT_ON_PHONES : HEIGHT
  const { first, last } = list.inSight(n, height)
  pages.look(first, last)
  past.look(pages.rows.slice(first, last))
  return [
    pages.error ? failed(pages.error, () => pages.retry()) : null,
    h('p', { class: 'unseen', role: 'status' }, `${plural(n, 'device')}${query.q ? ` for ${query.q}` : ''}`),
    grid(list, { label: 'Devices', look: 'grid-devices', columns: COLUMNS, count: n, height, row: (index) => row(ctx, pages.rows[index], past) }),
  ]
}

function nothing({ q, status }) {
  if (q || status) return state({ look: 'search', title: 'No device is like that', text: 'Search by a part of its name or site, or look at all.', actions: [h('a', { class: 'button', href: link('devices') }, 'All devices')] })
  return state({ look: 'devices', title: 'No device yet', text: 'Whatever publishes is here within a second. Try: mosquitto_pub -q 1 -t home/livingroom/temperature -m 21.5' })
}

function row(ctx, device, past) {
  if (!device) return { cells: COLUMNS.map((_, n) => (n === 0 ? h('span', { class: 'bone bone-short' }) : '')) }
  const lead = leading(device)
  const alerts = device.alerts?.filter((alert) => alert.state === 'firing') ?? []
  return {
    class: alerts.length ? `row-${worst(alerts)}` : '',
    open: () => go(link('devices', [device.site, device.device])),
    cells: [
      h('div', { class: 'two-lines' }, [
        h('a', { href: link('devices', [device.site, device.device]), tabindex: -1, class: 'name' }, device.device),
        h('span', { class: 'quiet' }, [device.site, device.source && device.source !== device.site ? ` · ${device.source}` : '']),
      ]),
      h('div', { class: 'row tight' }, [stateOf(device.status), alerts.length ? h('span', { class: `badge badge-${worst(alerts)}`, title: alerts.map((alert) => alert.rule).join(', ') }, [count(alerts.length), h('span', { class: 'unseen' }, ' firing')]) : null]),
      h('div', { class: 'values' }, (device.metrics ?? []).slice(0, 3).map((metric) => reading(metric))),
      lead ? spark(past.of(device, lead), { width: 150 }) : '',
      rate(device.rows_per_minute),
      when(device.heard, ctx.now()),
    ],
  }
}

function worst(alerts) {
  return alerts.some((alert) => alert.severity === 'critical') ? 'critical' : 'warning'
}

function reading(metric) {
  const text = metric.value === null || metric.value === undefined ? (metric.text ?? '–') : value(metric.value)
  return h('span', { class: `reading quality-${metric.quality}` }, [
    h('span', { class: 'reading-name' }, words(metric.metric)),
    h('span', { class: 'reading-value' }, [text, h('span', { class: 'reading-unit' }, unit(metric.unit))]),
  ])
}
