// The first look: is everything well, what is not and what to do, how much comes and lands.

import { chart, chartKeys } from '../chart.js'
import { h } from '../dom.js'
import { count, measured, plural, rate, ruleWords, short, span, words } from '../format.js'
import { icon } from '../icons.js'
import { bar, meter, panel, severity, tile, when } from '../parts.js'
import { link } from '../router.js'
import { spark } from '../spark.js'
import { show, state } from '../states.js'

export function overview(ctx) {
  const alerts = ctx.may('alerts') ? ctx.resource((signal) => ctx.api.get('/alerts', { state: 'firing', limit: 20 }, signal), { on: ['alert'], everyMs: 10_000 }) : null
  const limits = ctx.may('connections') ? ctx.resource((signal) => ctx.api.get('/limits', {}, signal), { everyMs: 10_000 }) : null
  const sources = ctx.may('devices') ? ctx.resource((signal) => ctx.api.get('/sources', {}, signal), { everyMs: 5000 }) : null

  return {
    draw: () => ({
      title: 'Overview',
      body: show(ctx.app.overview, (now) => [
        tiles(ctx, now),
        h('div', { class: 'columns' }, [
          h('div', { class: 'column-main' }, [
            panel({ title: 'Needs attention', look: 'panel-attention' }, attention(ctx, now, alerts)),
            panel({ title: 'Throughput', note: 'since you opened this page', actions: chartKeys(RATES) }, throughput(ctx)),
          ]),
          h('div', { class: 'column-side' }, [
            panel({ title: 'Devices', actions: h('a', { class: 'panel-link', href: link('devices') }, 'All devices') }, fleet(now)),
            sources ? panel({ title: 'Sources', actions: h('a', { class: 'panel-link', href: link('sources') }, 'All sources') }, show(sources, sourceList, { lines: 3 })) : null,
            limits ? panel({ title: 'Room left' }, show(limits, limitList, { lines: 4 })) : null,
            h('p', { class: 'quiet small-print' }, `Tidemark ${now.version}${now.worker ? `, worker ${now.worker}` : ''}`),
          ]),
        ]),
      ], { lines: 6 }),
    }),
  }
}

function tiles(ctx, now) {
  const past = ctx.app.history
  const slots = { width: 110, height: 30 }
  const late = now.lag.oldest_s > 60 ? 'critical' : now.lag.oldest_s > 20 ? 'warning' : ''
  return h('div', { class: 'tiles' }, [
    tile({ label: 'Messages', number: rate(now.rates.messages_per_s), unit: '/s', chart: spark(past.last('messages'), slots), about: 'accepted' }),
    tile({ label: 'Rows', number: rate(now.rates.rows_per_s), unit: '/s', chart: spark(past.last('rows'), slots), about: `${rate(now.rates.landings_per_min)} landings a minute` }),
    tile({ label: 'Lag', number: span(now.lag.oldest_s), kind: late, chart: spark(past.last('lag'), { ...slots, kind: late && `spark-${late}` }), about: `${short(now.lag.messages)} not landed yet`, link: link('sources') }),
    tile({ label: 'Alerts firing', number: count(now.alerts.firing), kind: now.alerts.firing ? 'critical' : '', about: `${count(now.alerts.acknowledged)} acknowledged, ${count(now.alerts.silenced)} silenced`, link: link('alerts') }),
    tile({ label: 'Dead letters', number: short(now.dead_letters.last_hour), kind: now.dead_letters.last_hour ? 'warning' : '', about: `last hour; ${short(now.dead_letters.total)} since the start`, link: link('dead-letters') }),
  ])
}

const WORST_FIRST = { critical: 0, warning: 1, info: 2 }

function attention(ctx, now, alerts) {
  const troubles = (now.troubles ?? []).map((trouble) => ({
    key: `trouble ${trouble.what}`, severity: trouble.severity, what: trouble.what, remedy: trouble.remedy, since: trouble.since, href: /dead letter/i.test(trouble.what) ? link('dead-letters') : null,
  }))
  const firing = (alerts?.value?.alerts ?? []).map((alert) => ({
    key: `alert ${alert.alert}`,
    severity: alert.severity,
    what: [ruleWords(alert.rule), h('span', { class: 'quiet' }, ` on ${[alert.device || alert.source, alert.site].filter(Boolean).join(', ')}`)],
    remedy: [alert.metric ? `${words(alert.metric)} ${measured(alert.value)}` : measured(alert.value), alert.threshold].filter(Boolean).join('; '),
    since: alert.since,
    href: alert.device ? link('devices', [alert.site, alert.device], { metric: alert.metric }) : link('alerts'),
  }))
  const all = [...troubles, ...firing].sort((a, b) => (WORST_FIRST[a.severity] ?? 3) - (WORST_FIRST[b.severity] ?? 3))
  if (all.length === 0) {
    return h('div', { class: 'well' }, [h('span', { class: 'well-icon' }, icon('check', 20)), h('div', null, [h('p', { class: 'state-title' }, 'All is well'), h('p', { class: 'quiet' }, 'Every part can work, no alert fires, no limit is near.')])])
  }
  const shown = all.slice(0, 12)
  return h('ul', { class: 'attention' }, [
    shown.map((one) => h('li', { key: one.key }, [
      severity(one.severity),
      h('div', { class: 'attention-text' }, [h('p', { class: 'attention-what' }, one.href ? h('a', { href: one.href }, one.what) : one.what), one.remedy ? h('p', { class: 'quiet' }, one.remedy) : null]),
      one.since ? h('span', { class: 'quiet attention-since' }, when(one.since, ctx.now())) : null,
    ])),
    all.length > shown.length ? h('li', { key: 'more' }, h('a', { href: link('alerts') }, `and ${plural(all.length - shown.length, 'more')}`)) : null,
  ])
}

const SPAN_S = 300
const RATES = [{ label: 'Messages', unit: '/s', ink: 'series-2', area: true }, { label: 'Rows', unit: '/s', ink: 'series-1', area: true }]

function throughput(ctx) {
  const data = ctx.app.history.data()
  if (data[0].length < 2) return state({ look: 'overview', title: 'Collecting', text: 'The line begins when this page is opened; it needs a few seconds.' })
  const last = data[0].at(-1)
  return chart({
    id: 'throughput', height: 240, data, fromZero: true,
    range: [Math.max(data[0][0], last - SPAN_S), last], series: RATES,
  })
}

function fleet({ devices }) {
  const parts = [
    { label: 'online', n: devices.online, kind: 'good' },
    { label: 'silent', n: devices.silent, kind: 'critical' },
    { label: 'unknown', n: devices.unknown, kind: 'quiet' },
  ]
  if (parts.every((part) => part.n === 0)) {
    return state({ look: 'devices', title: 'No device yet', text: 'Publish something: mosquitto_pub -q 1 -t home/livingroom/temperature -m 21.5' })
  }
  return [
    bar(parts, 'Devices'),
    h('ul', { class: 'legend' }, parts.map((part) => h('li', null, h('a', { href: link('devices', [], { status: part.label }) }, [h('span', { class: `dot dot-${part.kind}`, 'aria-hidden': 'true' }), h('span', null, part.label), h('strong', null, count(part.n))])))),
  ]
}

function sourceList({ sources }) {
  if (sources.length === 0) return state({ look: 'sources', title: 'No source yet', text: 'A source is a spool: the gateway has one, and so has each agent.' })
  return h('ul', { class: 'lines' }, sources.slice(0, 6).map((source) => h('li', { key: `${source.source}/${source.epoch}` }, [
    h('span', { class: `dot dot-${{ here: 'good', behind: 'warning', away: 'critical' }[source.state] ?? 'quiet'}`, 'aria-hidden': 'true' }),
    h('span', { class: 'lines-name' }, source.source),
    h('span', { class: 'quiet' }, source.state === 'here' ? source.pending === null ? 'here' : `${short(source.pending)} waiting` : source.state),
  ])))
}

function limitList({ limits }) {
  const fullest = [...limits].filter((limit) => limit.max > 0).sort((a, b) => b.used / b.max - a.used / a.max).slice(0, 5)
  if (fullest.length === 0) return h('p', { class: 'quiet' }, 'No limit is in use.')
  return h('ul', { class: 'limits' }, fullest.map((limit) => h('li', { key: limit.name, title: [limit.effect, limit.setting].filter(Boolean).join(': ') }, [
    h('span', { class: 'limit-name' }, words(limit.name)),
    h('span', { class: 'quiet' }, `${Math.round((limit.used / limit.max) * 100)} %`),
    meter({ label: words(limit.name), used: limit.used, max: limit.max, text: `${count(limit.used)} of ${count(limit.max)}: ${limit.effect}` }),
  ])))
}
