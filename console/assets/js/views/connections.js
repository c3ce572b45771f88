// Who is connected to the gateway, since when, what waits for them; and who was refused, and why.

import { h } from '../dom.js'
import { amount, count, short, words } from '../format.js'
import { List, grid } from '../list.js'
import { panel, pill, search, when } from '../parts.js'
import { link, replace } from '../router.js'
import { show, state } from '../states.js'

const narrow = matchMedia('(max-width: 760px)')
const COLUMNS = [
  { label: 'Client', class: 'cell-device' },
  { label: 'State', class: 'cell-state' },
  { label: 'Waiting', class: 'cell-number' },
  { label: 'Since', class: 'cell-since' },
]

export function connections(ctx) {
  let { query } = ctx.route
  const list = new List(ctx.redraw)
  const all = ctx.resource((signal) => ctx.api.get('/connections', { limit: 1000 }, signal), { everyMs: 5000 })
  const limits = ctx.resource((signal) => ctx.api.get('/limits', {}, signal), { everyMs: 15_000 })
  return {
    routed(route) { query = route.query },
    draw: () => ({
      title: 'Connections',
      body: show(all, (value) => h('div', { class: 'columns' }, [
        h('div', { class: 'column-main' }, [
          h('div', { class: 'toolbar' }, search({ label: 'Search clients and identities', value: query.q ?? '', changed: (q) => { query = { ...query, q }; replace(link('connections', [], query)); list.active = 0; ctx.redraw() } })),
          clients(ctx, list, value.connections, query.q ?? ''),
        ]),
        h('div', { class: 'column-side' }, [
          panel({ title: 'Refused', note: 'since the start' }, refusals(ctx, value.refusals ?? [])),
          panel({ title: 'Limits' }, show(limits, limitList, { lines: 4 })),
        ]),
      ]), { lines: 6 }),
    }),
  }
}

function clients(ctx, list, all, q) {
  const wanted = q.toLowerCase()
  const shown = all.filter((one) => !wanted || one.client_id.toLowerCase().includes(wanted) || String(one.identity ?? '').toLowerCase().includes(wanted))
  if (all.length === 0) return state({ look: 'connections', title: 'Nobody is connected', text: 'Clients reach the gateway at its MQTT address, 127.0.0.1:1883 as it comes; docs/security.md says how others may.' })
  if (shown.length === 0) return state({ look: 'search', title: 'Nobody is called that', text: 'Search by a part of a client id or identity.' })
  return grid(list, {
    label: 'Clients', look: 'grid-connections', columns: COLUMNS, count: shown.length, height: narrow.matches ? 72 : 52,
    row: (index) => {
      const one = shown[index]
      return {
        cells: [
          h('div', { class: 'two-lines' }, [h('span', { class: 'name' }, one.client_id), h('span', { class: 'quiet' }, one.identity || 'anonymous')]),
          one.connected ? pill('good', 'connected') : pill('quiet', 'away, session kept'),
          one.waiting ? h('span', null, [count(one.waiting), h('span', { class: 'quiet' }, ' waiting')]) : h('span', { class: 'quiet' }, '0'),
          when(one.since, ctx.now()),
        ],
      }
    },
  })
}

function refusals(ctx, all) {
  if (all.length === 0) return h('p', { class: 'quiet' }, 'Nobody was refused.')
  return h('ul', { class: 'lines' }, [...all].sort((a, b) => b.count - a.count).map((one) => h('li', { key: one.reason }, [
    h('span', { class: 'lines-name lines-words' }, words(one.reason)), h('strong', null, short(one.count)), h('span', { class: 'quiet' }, when(one.last, ctx.now())),
  ])))
}

function limitList({ limits }) {
  return h('ul', { class: 'lines lines-limits' }, [...limits].sort((a, b) => b.used / b.max - a.used / a.max).map((one) => h('li', { key: one.name }, [
    h('span', { class: 'lines-name lines-words' }, words(one.name)), h('span', null, `${amount(`${one.name} ${one.setting}`, one.used)} of ${amount(`${one.name} ${one.setting}`, one.max)}`),
    h('span', { class: 'quiet lines-more' }, [one.effect, ' ', one.setting ? h('code', null, one.setting) : null]),
  ])))
}
