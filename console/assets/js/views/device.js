// One device: its values now and before, what it sent last as it came, and the rules that watch it.

import { at } from '../api.js'
import { chart } from '../chart.js'
import { choose } from '../dialog.js'
import { h, names } from '../dom.js'
import { clock, count, endOf, limitsOf, measured, plural, rate, ruleWords, span, spanWords, unit, value, words } from '../format.js'
import { icon } from '../icons.js'
import { bar, copy, panel, segments, severity, stateOf, when } from '../parts.js'
import { pretty } from '../payload.js'
import { link, replace } from '../router.js'
import { note } from '../say.js'
import { show, state } from '../states.js'

const RANGES = [['15m', '15 min', 900], ['1h', '1 h', 3600], ['6h', '6 h', 21_600], ['24h', '24 h', 86_400], ['7d', '7 d', 604_800]]
// As many as there is room for: each point of a bucket is its lowest or highest value.
const POINTS = matchMedia('(max-width: 760px)').matches ? 240 : 800

export function device(ctx) {
  const [site, name] = ctx.route.parts
  let { query } = ctx.route
  const live = new Live()
  let series = null
  const one = ctx.resource(async (signal) => {
    const answer = await ctx.api.get(`/devices${at(site, name)}`, {}, signal)
    live.add(answer)
    if (!series) series = readSeries(ctx, site, name, () => picked(answer, query), () => query.range)
    return answer
  }, { on: ['alert'], everyMs: 10_000, atMostMs: 500 })

  const view = {
    routed(route) {
      query = route.query
      series?.restart()
    },
    heard(event, data) {
      if (event === 'heard' && data.devices?.some((heard) => heard.site === site && heard.device === name)) one.heard('alert')
    },
    draw: () => ({
      title: name,
      back: { href: link('devices'), label: 'Devices' },
      beside: one.value ? h('span', { class: 'row tight' }, [stateOf(one.value.status), h('span', { class: 'quiet' }, site)]) : h('span', { class: 'quiet' }, site),
      actions: one.value && ctx.may('act') ? h('button', { class: 'button', type: 'button', 'aria-label': 'Maintenance', onclick: () => maintain(ctx, site, name) }, [icon('tool', 14), h('span', null, 'Maintenance')]) : null,
      body: show(one, (value_) => body(ctx, { device: value_, query, series, live, pick: (metric) => pick(metric) }), { lines: 6 }),
    }),
  }
  function pick(metric) {
    query = { ...query, metric }
    replace(link('devices', [site, name], query))
    series?.restart()
    ctx.redraw()
  }
  return view
}

/** Which metric the chart shows: the one that was asked for, else the first with a number. */
function picked(device, query) {
  const known = (device.metrics ?? []).find((metric) => metric.metric === query.metric)
  return known ?? device.metrics?.find((metric) => metric.value !== null && metric.value !== undefined) ?? device.metrics?.[0]
}

function readSeries(ctx, site, name, metric, range) {
  return ctx.resource(async (signal) => {
    const wanted = metric()
    if (!wanted) return { metric: null, points: [] }
    const seconds = (RANGES.find(([id]) => id === range()) ?? RANGES[1])[2]
    const to = endOf(wanted.event, ctx.now(), seconds)
    const from = to - seconds * 1000
    const query = { metric: wanted.metric, from: new Date(from).toISOString(), to: new Date(to).toISOString(), points: POINTS }
    return { ...(await ctx.api.get(`/devices${at(site, name)}/series`, query, signal)), from, to, seconds }
  }, { on: ['landed'], atMostMs: 5000, everyMs: 30_000 })
}

/** Values that were heard and may not be in the lake yet. */
class Live {
  points = new Map()

  add({ heard, metrics }) {
    const time = Date.parse(heard)
    for (const { metric, value: number, quality, event } of metrics ?? []) {
      if (number === null || number === undefined) continue
      const known = this.points.get(metric) ?? []
      const when_ = Number.isNaN(Date.parse(event)) ? time : Date.parse(event)
      if (known.length && known.at(-1)[0] >= when_) continue
      known.push([when_, number, quality])
      if (known.length > 600) known.shift()
      this.points.set(metric, known)
    }
  }

  after(metric, time) {
    return (this.points.get(metric) ?? []).filter((point) => point[0] > time)
  }
}

function body(ctx, { device, query, series, live, pick }) {
  const metric = picked(device, query)
  const open = (device.alerts ?? []).filter((alert) => alert.state !== 'resolved')
  return [
    open.length ? h('ul', { class: 'attention attention-bare' }, open.map((alert) => h('li', { key: alert.alert }, [
      severity(alert.severity),
      h('div', { class: 'attention-text' }, [h('p', { class: 'attention-what' }, [ruleWords(alert.rule), ' ', stateOf(alert.state)]), h('p', { class: 'quiet' }, [alert.metric ? `${words(alert.metric)} ${measured(alert.value)}` : measured(alert.value), alert.threshold].filter(Boolean).join('; '))]),
      h('span', { class: 'quiet attention-since' }, when(alert.since, ctx.now())),
    ]))) : null,
    device.metrics?.length ? metricTiles(device.metrics, metric, pick) : state({ look: 'devices', title: 'No reading yet', text: 'The device was heard of, by its status or an alert, but no reading of it came. The last message, below, may say why.' }),
    metric ? chartPanel(ctx, { device, metric, query, series, live }) : null,
    h('div', { class: 'columns' }, [
      h('div', { class: 'column-main' }, rawPanel(ctx, device)),
      h('div', { class: 'column-side' }, [metric ? qualityPanel(metric) : null, rulesPanel(device), factsPanel(ctx, device)]),
    ]),
  ]
}

function metricTiles(metrics, chosen, pick) {
  return h('div', { class: 'metrics', role: 'group', 'aria-label': 'Metrics: choose one for the chart' }, metrics.map((metric) => h('button', {
    key: metric.metric, type: 'button', class: names('metric', `quality-${metric.quality}`), 'aria-pressed': metric === chosen ? 'true' : 'false', title: metric.metric, onclick: () => pick(metric.metric),
  }, [
    h('span', { class: 'metric-name' }, words(metric.metric)),
    h('span', { class: 'metric-value' }, [metric.value === null || metric.value === undefined ? (metric.text ?? '–') : value(metric.value), h('span', { class: 'metric-unit' }, unit(metric.unit))]),
    metric.quality === 'good' ? null : h('span', { class: 'metric-quality' }, metric.quality),
  ])))
}

function chartPanel(ctx, { device, metric, query, series, live }) {
  const chosen = RANGES.find(([id]) => id === query.range) ?? RANGES[1]
  const parts = ['devices', [device.site, device.device]]
  const ranges = segments('Time shown', RANGES.map(([id, text]) => ({ text, current: id === chosen[0], href: link(...parts, { ...query, metric: metric.metric, range: id }) })))
  return panel({ title: words(metric.metric), note: unit(metric.unit), actions: ranges, look: 'panel-chart' }, [
    series ? show(series, (answer) => drawSeries(ctx, { device, metric, answer, live }), { lines: 5 }) : null,
  ])
}

const merged = new WeakMap()

/** What the lake has and what came since, as a chart's data; the same object while neither changed. */
function dataOf(answer, fresh) {
  const known = merged.get(answer)
  if (known && known.fresh === fresh.length) return known.data
  const points = [...answer.points, ...fresh]
  const data = [
    points.map((point) => point[0] / 1000),
    points.map((point) => point[1]),
    points.map((point) => (point[2] === 'good' || point[2] === 'unchecked' ? null : point[1])),
  ]
  merged.set(answer, { fresh: fresh.length, data })
  return data
}

function drawSeries(ctx, { device, metric, answer, live }) {
  if (answer.metric !== null && answer.metric !== metric.metric) return null
  const lastLanded = answer.points.at(-1)?.[0] ?? answer.from
  const data = dataOf(answer, live.after(metric.metric, lastLanded))
  if (data[0].length === 0) {
    return state({ look: 'empty', title: 'Nothing in this time', text: metric.value === null || metric.value === undefined ? 'This metric is a text: it has no line.' : 'No reading of it has landed in this time. Choose a longer one.' })
  }
  const last = Math.max(answer.to / 1000, data[0].at(-1))
  const limits = [...new Set((device.alerts ?? []).filter((alert) => alert.metric === metric.metric).flatMap((alert) => limitsOf(alert.threshold)))]
  const unitText = unit(metric.unit)
  return [
    chart({
      id: `${metric.metric} ${answer.seconds} ${limits}`, height: 280, data, limits,
      range: [begin(data[0][0], last, answer.seconds), last], days: answer.seconds > 86_400,
      series: [{ label: words(metric.metric), unit: unitText, ink: 'series-1', area: true }, { label: 'Suspect or bad', unit: unitText, ink: 'critical', points: true }],
    }),
    h('div', { class: 'chart-foot' }, [
      asTable(data, metric),
      h('p', { class: 'quiet small-print' }, [Math.abs(ctx.now() - answer.to) > answer.seconds * 1000 ? `By the device's time, which ends ${clock(answer.to, ctx.now())}. ` : '', data[2].some((bad) => bad !== null) ? 'Red dots are suspect or bad. ' : '', answer.more ? 'Thinned: of each moment the lowest and the highest value are kept.' : '']),
    ]),
  ]
}

/** Where the chart begins: with the time that was asked for, or, of a device that is new, a little before its first value. */
function begin(first, last, seconds) {
  return last - first > seconds / 2 ? last - seconds : Math.max(last - seconds, first - Math.max(20, (last - first) * 0.1))
}

function asTable(data, metric) {
  const newest = data[0].map((time, n) => [time, data[1][n], data[2][n]]).slice(-50).reverse()
  return h('details', { class: 'as-table' }, [
    h('summary', null, 'As a table'),
    h('div', { class: 'table-room short', tabindex: 0, role: 'region', 'aria-label': 'The newest values' }, h('table', { class: 'table' }, [
      h('thead', null, h('tr', null, ['Time', `${words(metric.metric)} ${unit(metric.unit)}`, 'Quality'].map((label) => h('th', { scope: 'col' }, label)))),
      h('tbody', null, newest.map(([time, number, bad]) => h('tr', { key: time }, [h('td', null, clock(time * 1000, Date.now())), h('td', null, value(number)), h('td', null, bad === null ? 'usable' : 'suspect or bad')]))),
    ])),
  ])
}

function rawPanel(ctx, { raw, device }) {
  if (!raw) return panel({ title: 'Last message' }, state({ look: 'empty', title: 'Not known', text: 'The last message is shown once one has come since Tidemark started, on a topic that says whose it is.', actions: [h('a', { class: 'button small', href: link('topics', [], { q: device }) }, 'Topics with its name')] }))
  return panel({ title: 'Last message', note: h('span', null, when(raw.received, ctx.now())), actions: raw.payload && !raw.masked ? copy(raw.payload, 'Copy the message', note) : null }, [
    h('p', { class: 'topic' }, raw.topic),
    raw.payload === null || raw.payload === undefined ? h('p', { class: 'quiet' }, raw.masked ? 'Your role may not see what speaks of patients.' : 'It is no text: its bytes are in the lake.') : h('pre', { class: 'payload', tabindex: 0, 'aria-label': 'Payload' }, pretty(raw.payload)),
    raw.masked || raw.cut ? h('p', { class: 'quiet small-print' }, [raw.masked ? 'Values are masked for your role. ' : '', raw.cut ? 'Its end is cut off.' : '']) : null,
  ])
}

function qualityPanel(metric) {
  const { good = 0, unchecked = 0, suspect = 0, bad = 0 } = metric.counts ?? {}
  const parts = [{ label: 'good', n: good, kind: 'good' }, { label: 'unchecked', n: unchecked, kind: 'quiet' }, { label: 'suspect', n: suspect, kind: 'warning' }, { label: 'bad', n: bad, kind: 'critical' }]
  return panel({ title: 'Quality', note: words(metric.metric) }, [
    bar(parts, `Rows of ${words(metric.metric)}`),
    h('ul', { class: 'legend' }, parts.map((part) => h('li', null, [h('span', { class: `dot dot-${part.kind}`, 'aria-hidden': 'true' }), h('span', null, part.label), h('strong', null, count(part.n))]))),
    metric.late ? h('p', { class: 'quiet' }, `${plural(metric.late, 'row')} came late`) : null,
  ])
}

function rulesPanel({ rules }) {
  return panel({ title: 'Rules that watch it' }, rules?.length
    ? h('ul', { class: 'rules' }, rules.map((rule) => h('li', { key: rule.name }, [h('strong', null, ruleWords(rule.name)), h('code', null, conditionOf(rule))])))
    : h('p', { class: 'quiet' }, 'None. Rules are in the file that alerts are configured by; try one with tidemark alerts backtest.'))
}

/** `fridge-warm (critical): above 8, of *`, without the name that stands above it and a filter that lets everything in. */
function conditionOf({ name, condition }) {
  const rest = condition.startsWith(`${name} (`) ? condition.slice(name.length + 1).replace(/^\((\w+)\): /, '$1: ') : condition
  return rest.replace(/, of \*(\/\*)?$/, '')
}

function factsPanel(ctx, device) {
  const facts = [['Site', h('a', { href: link('devices', [], { site: device.site }) }, device.site)], ['Source', device.source ?? '–'], ['Heard', when(device.heard, ctx.now())], ['Rows a minute', rate(device.rows_per_minute)], ['Topic', h('code', null, device.topic ?? '–')], ['Mapped by', device.topic_rule ?? '–']]
  return panel({ title: 'About' }, h('dl', { class: 'facts' }, facts.map(([what, is]) => h('div', null, [h('dt', null, what), h('dd', null, is)]))))
}

async function maintain(ctx, site, name) {
  const options = [['30m', 1800], ['2h', 7200], ['8h', 28_800], ['24h', 86_400]]
  const seconds = await choose({ title: `Maintenance of ${name}`, text: 'No alert of this device is told meanwhile. Its readings land as always.', options: options.map(([text, s]) => ({ label: spanWords(text), value: s })) })
  if (!seconds) return
  const from = ctx.now()
  await ctx.app.act(() => ctx.api.post('/maintenance', { site, device: name, from: new Date(from).toISOString(), until: new Date(from + seconds * 1000).toISOString() }), `${name} is in maintenance for ${span(seconds)}`)
}
