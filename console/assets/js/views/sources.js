// Sources: gateways and agents, their books, and whether they are here.

import { h } from '../dom.js'
import { bytes, count, plural, span } from '../format.js'
import { bar, stateOf, when } from '../parts.js'
import { link } from '../router.js'
import { show, state } from '../states.js'

const WORST_FIRST = { away: 0, behind: 1, here: 2 }

export function sources(ctx) {
  const all = ctx.resource((signal) => ctx.api.get('/sources', {}, signal), { on: ['landed'], everyMs: 5000, atMostMs: 1000 })
  return {
    draw: () => ({
      title: 'Sources',
      body: show(all, ({ sources: list }) => (list.length === 0 ? none() : [
        h('p', { class: 'lead' }, 'A source is a spool: the gateway has one, and so has each agent. What it accepted has landed, waits, or was dropped; nothing else.'),
        h('div', { class: 'cards' }, [...list].sort((a, b) => (WORST_FIRST[a.state] ?? 3) - (WORST_FIRST[b.state] ?? 3) || a.source.localeCompare(b.source)).map((source) => card(ctx, source))),
      ]), { lines: 6 }),
    }),
  }
}

function none() {
  return state({ look: 'sources', title: 'No source yet', text: 'Start the gateway (tidemark up) or an agent (tidemark agent) and let something publish to it.' })
}

const MEANS = {
  away: 'It does not answer. What it accepted is safe on its disk; its devices are unknown, not silent.',
  behind: 'It delivers, but what it delivers is old. Look at its network, and at whether the lake takes rows.',
}

function card(ctx, source) {
  const parts = [{ label: 'landed', n: source.landed, kind: 'good' }, { label: 'pending', n: source.pending ?? 0, kind: 'warning' }, { label: 'dropped', n: source.dropped, kind: 'critical' }]
  return h('article', { class: `panel card card-${source.state}`, key: `${source.source}/${source.epoch}`, 'aria-label': `Source ${source.source}` }, [
    h('header', { class: 'card-head' }, [h('div', { class: 'two-lines' }, [h('h2', null, source.source), h('span', { class: 'quiet' }, ['epoch ', h('code', null, String(source.epoch)), source.version ? ` · version ${source.version}` : ''])]), stateOf(source.state)]),
    MEANS[source.state] ? h('p', { class: 'card-means' }, MEANS[source.state]) : null,
    h('p', { class: 'books' }, source.accepted === null ? 'accepted: not known' : [h('strong', null, count(source.accepted)), ' accepted']),
    bar(parts, 'Of what it accepted'),
    h('ul', { class: 'legend' }, parts.map((part) => h('li', null, [h('span', { class: `dot dot-${part.kind}`, 'aria-hidden': 'true' }), h('span', null, part.label), h('strong', null, count(part.n))]))),
    h('p', { class: 'card-foot quiet' }, [
      source.devices === null || source.devices === undefined ? '' : [plural(source.devices, 'device'), ' · '],
      source.dead_letters ? h('a', { href: link('dead-letters') }, plural(source.dead_letters, 'dead letter')) : 'no dead letters', ' · heard ', when(source.heard, ctx.now()),
      source.lag_seconds >= 1 ? ` · the oldest waits for ${span(source.lag_seconds)}` : '',
      source.window ? ` · ${bytes(source.window)} may be on the way` : '',
    ]),
  ])
}
