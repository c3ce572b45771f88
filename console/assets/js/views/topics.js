// Topics that are published to: which rule takes them, how much comes, whether it becomes rows.

import { h } from '../dom.js'
import { bytes, count, plural, rate, short } from '../format.js'
import { List, grid } from '../list.js'
import { search, segments, when } from '../parts.js'
import { go, link, replace } from '../router.js'
import { show, state } from '../states.js'

const narrow = matchMedia('(max-width: 760px)')
const COLUMNS = [
  { label: 'Topic', class: 'cell-topic' },
  { label: 'Rule', class: 'cell-rule' },
  { label: 'Rows a minute', class: 'cell-number cell-rate' },
  { label: 'Received', class: 'cell-number cell-bytes' },
  { label: 'Dead letters', class: 'cell-number cell-dead' },
  { label: 'Last', class: 'cell-heard' },
]

export function topics(ctx) {
  let { query } = ctx.route
  const list = new List(ctx.redraw)
  const all = ctx.resource((signal) => ctx.api.get('/topics', { limit: 1000 }, signal), { on: ['heard', 'landed'], atMostMs: 1500, everyMs: 5000 })
  const ask = (changed) => {
    query = { ...query, ...changed }
    replace(link('topics', [], query))
    list.active = 0
    ctx.redraw()
  }
  return {
    routed(route) { query = route.query },
    draw: () => ({
      title: 'Topics',
      body: show(all, ({ topics: found }) => [
        h('div', { class: 'toolbar' }, [
          search({ label: 'Search topics and rules', value: query.q ?? '', changed: (q) => ask({ q }) }),
          segments('Which topics', [
            { text: 'All', number: short(found.length), current: !query.show, href: link('topics', [], { ...query, show: '' }) },
            { text: 'With dead letters', number: short(found.filter((one) => one.dead_letters > 0).length), current: query.show === 'dead', href: link('topics', [], { ...query, show: 'dead' }) },
          ]),
        ]),
        rows(ctx, list, found, query),
      ], { lines: 8 }),
    }),
  }
}

function rows(ctx, list, all, { q = '', show: which }) {
  const wanted = q.toLowerCase()
  const shown = all.filter((one) => (!wanted || one.topic.toLowerCase().includes(wanted) || String(one.rule ?? '').toLowerCase().includes(wanted)) && (which !== 'dead' || one.dead_letters > 0))
  if (all.length === 0) return state({ look: 'topics', title: 'Nothing is published yet', text: 'Any topic will do: mosquitto_pub -q 1 -t home/livingroom/temperature -m 21.5' })
  if (shown.length === 0) return state({ look: 'search', title: which === 'dead' && !q ? 'Every topic becomes rows' : 'No topic is like that', text: which === 'dead' && !q ? '' : 'Search by a part of the topic, or of the rule that takes it.', actions: [h('a', { class: 'button', href: link('topics') }, 'All topics')] })
  return grid(list, { label: `Topics: ${plural(shown.length, 'topic')}`, look: 'grid-topics', columns: COLUMNS, count: shown.length, height: narrow.matches ? 84 : 44, row: (index) => row(ctx, shown[index]) })
}

/** A rule of the configuration by its name; a built-in one by its filter. */
function rule(name) {
  if (!name) return h('span', { class: 'dead' }, 'none')
  const builtIn = /^built-in rule for `(.+)`$/.exec(name)
  return h('span', { class: 'row tight' }, [h('code', { class: 'chip' }, builtIn ? builtIn[1] : name), builtIn ? h('span', { class: 'quiet small-print' }, 'built in') : null])
}

function row(ctx, one) {
  const dead = link('dead-letters', [], { topic: one.topic })
  return {
    open: one.dead_letters ? () => go(dead) : null,
    cells: [
      h('code', { class: 'name', title: one.topic }, one.topic),
      rule(one.rule),
      rate(one.rows_per_minute),
      bytes(one.bytes),
      one.dead_letters ? h('a', { class: 'dead', href: dead, tabindex: -1 }, count(one.dead_letters)) : h('span', { class: 'quiet' }, '0'),
      when(one.last, ctx.now()),
    ],
  }
}
