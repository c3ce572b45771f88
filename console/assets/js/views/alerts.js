// Alerts: those that are open, acknowledged or silenced here; and what was.

import { at } from '../api.js'
import { choose } from '../dialog.js'
import { h, names } from '../dom.js'
import { clock, count, measured, plural, ruleWords, spanWords, words } from '../format.js'
import { icon } from '../icons.js'
import { List, grid } from '../list.js'
import { segments, severity, stateOf, when } from '../parts.js'
import { go, link } from '../router.js'
import { failed, show, skeleton, state } from '../states.js'
import { Steps } from '../steps.js'

const HEIGHT = 64
const HEIGHT_ON_PHONES = 124
const narrow = matchMedia('(max-width: 760px)')
const OPEN = ['firing', 'acknowledged', 'silenced', 'pending']
const RANK = { critical: 0, warning: 1, info: 2 }
const COLUMNS = [
  { label: 'Severity', class: 'cell-severity', hidden: true },
  { label: 'Alert', class: 'cell-alert' },
  { label: 'Value', class: 'cell-value' },
  { label: 'State', class: 'cell-state' },
  { label: 'Since', class: 'cell-since' },
  { label: 'Actions', class: 'cell-actions', hidden: true },
]
const HISTORY = [
  { label: 'When', class: 'cell-since' },
  { label: 'Severity', class: 'cell-severity', hidden: true },
  { label: 'Alert', class: 'cell-alert' },
  { label: 'Became', class: 'cell-state' },
  { label: 'By', class: 'cell-by' },
]

export function alerts(ctx) {
  let { query } = ctx.route
  const list = new List(ctx.redraw)
  const busy = new Set()
  const open = ctx.resource((signal) => ctx.api.get('/alerts', { limit: 1000 }, signal), { on: ['alert'], everyMs: 10_000, atMostMs: 300 })
  let history = null

  function acting(alert, path, body, done) {
    busy.add(alert.alert)
    ctx.redraw()
    return ctx.app.act(() => ctx.api.post(`/alerts${at(alert.alert)}/${path}`, body), done).finally(() => {
      busy.delete(alert.alert)
      open.reload()
    })
  }
  const acts = {
    busy,
    acknowledge: (alert) => acting(alert, 'acknowledge', {}, `Acknowledged: ${ruleWords(alert.rule)} on ${alert.device || alert.source}`),
    silence: async (alert) => {
      const span = await choose({ title: `Silence ${ruleWords(alert.rule)}`, text: `On ${alert.device || alert.source}. It is not told until then, and comes back if it still holds.`, options: ['30m', '2h', '8h', '24h'].map((text) => ({ value: text, label: spanWords(text) })) })
      if (span) await acting(alert, 'silence', { for: span }, `Silenced for ${spanWords(span)}: ${ruleWords(alert.rule)} on ${alert.device || alert.source}`)
    },
  }

  return {
    routed(route) {
      query = route.query
      list.active = 0
    },
    heard(name, data) {
      history?.heard(name)
      if (name === 'alert' && open.value) open.value = { ...open.value, alerts: merge(open.value.alerts, data) }
    },
    close: () => history?.close(),
    draw() {
      if (query.show === 'history') history ??= readHistory(ctx)
      return {
        title: 'Alerts',
        body: [
          bar(query, open.value?.alerts ?? []),
          ctx.may('act') ? null : h('p', { class: 'hint' }, [icon('lock', 14), `Your role (${ctx.app.me.role}) may look, not acknowledge or silence.`]),
          query.show === 'history' ? past(ctx, list, history) : show(open, ({ alerts: all }) => now(ctx, { list, all, query, acts }), { lines: 6 }),
        ],
      }
    },
  }
}

/** What came by an event takes the place of what was known. */
function merge(known, alert) {
  const others = known.filter((one) => one.alert !== alert.alert)
  return alert.state === 'resolved' ? others : [alert, ...others]
}

function bar(query, all) {
  const n = (wanted) => all.filter((alert) => alert.state === wanted).length
  const current = query.show === 'history' ? 'history' : (query.state ?? '')
  const one = (text, key, number) => ({ text, number, current: current === key, href: link('alerts', [], { state: key }) })
  return h('div', { class: 'toolbar' }, segments('Which alerts', [
    one('Open', '', all.filter((alert) => OPEN.includes(alert.state)).length),
    ...OPEN.map((wanted) => one(wanted[0].toUpperCase() + wanted.slice(1), wanted, n(wanted))),
    { text: 'History', current: current === 'history', href: link('alerts', [], { show: 'history' }) },
  ]))
}

function now(ctx, { list, all, query, acts }) {
  const shown = all
    .filter((alert) => (query.state ? alert.state === query.state : OPEN.includes(alert.state)))
    .sort((a, b) => OPEN.indexOf(a.state) - OPEN.indexOf(b.state) || (RANK[a.severity] ?? 3) - (RANK[b.severity] ?? 3) || String(b.since).localeCompare(String(a.since)))
  if (shown.length === 0) {
    return query.state
      ? state({ look: 'check', kind: 'good', title: `No alert is ${query.state}`, actions: [h('a', { class: 'button', href: link('alerts') }, 'All open alerts')] })
      : state({ look: 'check', kind: 'good', title: 'No alert is open', text: 'What was is in the history. Rules are tried on the lake with tidemark alerts backtest.', actions: [h('a', { class: 'button', href: link('alerts', [], { show: 'history' }) }, 'History')] })
  }
  return grid(list, { label: `Alerts: ${plural(shown.length, 'open alert')}`, look: 'grid-alerts', columns: COLUMNS, count: shown.length, height: narrow.matches ? HEIGHT_ON_PHONES : HEIGHT, row: (index) => row(ctx, shown[index], acts) })
}

function about(alert) {
  const place = [alert.device || alert.source, alert.site].filter(Boolean).join(', ')
  return h('div', { class: 'two-lines' }, [
    h('span', { class: 'name' }, ruleWords(alert.rule)),
    alert.device ? h('a', { class: 'quiet', href: link('devices', [alert.site, alert.device], { metric: alert.metric }) }, place) : h('span', { class: 'quiet' }, place),
  ])
}

function row(ctx, alert, acts) {
  const may = ctx.may('act')
  const busy = acts.busy.has(alert.alert)
  const canAcknowledge = may && !busy && alert.state === 'firing'
  const canSilence = may && !busy && ['firing', 'acknowledged'].includes(alert.state)
  const label = (what) => `${what} ${ruleWords(alert.rule)} on ${alert.device || alert.source}`
  return {
    class: names(`alert-${alert.state}`, { busy }),
    open: alert.device ? () => go(link('devices', [alert.site, alert.device], { metric: alert.metric })) : null,
    keys: { ...(canAcknowledge ? { a: () => acts.acknowledge(alert) } : {}), ...(canSilence ? { s: () => acts.silence(alert) } : {}) },
    cells: [
      severity(alert.severity),
      about(alert),
      h('div', { class: 'two-lines' }, [h('strong', { title: alert.value || null }, measured(alert.value)), alert.threshold ? h('span', { class: 'quiet', title: alert.threshold }, alert.threshold) : null]),
      h('div', { class: 'two-lines' }, [stateOf(alert.state), alert.by || alert.until ? h('span', { class: 'quiet' }, [alert.by ? `by ${alert.by}` : '', alert.until ? ` until ${clock(alert.until, ctx.now())}` : '']) : null]),
      when(alert.since, ctx.now()),
      h('div', { class: 'row tight' }, [
        busy ? h('span', { class: 'quiet' }, 'Waiting for the lake…') : null,
        canAcknowledge ? h('button', { class: 'button small', type: 'button', 'aria-label': label('Acknowledge'), title: 'Acknowledge (a)', onclick: () => acts.acknowledge(alert) }, [icon('check', 14), h('span', null, 'Acknowledge')]) : null,
        canSilence ? h('button', { class: 'button small', type: 'button', 'aria-label': label('Silence'), title: 'Silence (s)', onclick: () => acts.silence(alert) }, [icon('silence', 14), h('span', null, 'Silence')]) : null,
      ]),
    ],
  }
}

function readHistory(ctx) {
  return new Steps(async (after, signal) => {
    const from = new Date(ctx.now() - 7 * 86_400_000).toISOString()
    const answer = await ctx.api.get('/alerts/history', { from, limit: 200, after }, signal)
    return { items: answer.transitions, next: answer.next ?? null }
  }, ctx.redraw, { atMostMs: 2000 })
}

function past(ctx, list, history) {
  if (!history.begun) return history.error ? failed(history.error, () => history.retry()) : skeleton(6)
  if (history.rows.length === 0) return state({ title: 'Nothing in the last seven days', text: 'Every step of an alert is a row of the table alerts, and here.' })
  const height = narrow.matches ? 92 : 52
  const { first, last } = list.inSight(history.rows.length, height)
  history.look(first, last)
  return grid(list, { label: `History: ${count(history.rows.length)} steps`, look: 'grid-history', columns: HISTORY, count: history.rows.length, height, row: (index) => step(ctx, history.rows[index]) })
}

function step(ctx, one) {
  return {
    open: one.device ? () => go(link('devices', [one.site, one.device], { metric: one.metric })) : null,
    cells: [
      h('time', { datetime: one.at }, clock(one.at, ctx.now())),
      severity(one.severity),
      about(one),
      stateOf(one.state),
      h('span', { class: 'quiet' }, one.by ?? words(one.reason ?? '')),
    ],
  }
}
