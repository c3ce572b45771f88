// Messages that could not become rows: why, from which topic, what they are, which rule would take them; and trying again.

import { ask } from '../dialog.js'
import { h } from '../dom.js'
import { clock, count, plural, short, words } from '../format.js'
import { icon } from '../icons.js'
import { copy, panel, when } from '../parts.js'
import { hex, pretty } from '../payload.js'
import { link } from '../router.js'
import { note } from '../say.js'
import { show, state } from '../states.js'

const SAMPLES = 10

export function deadLetters(ctx) {
  let { query } = ctx.route
  let replaying = false
  const reasons = ctx.resource((signal) => ctx.api.get('/dead-letters', {}, signal), { on: ['landed'], atMostMs: 10_000 })
  const samples = ctx.may('dead_letters')
    ? ctx.resource((signal) => (query.reason || query.topic ? ctx.api.get('/dead-letters/samples', { reason: query.reason, topic: query.topic, limit: SAMPLES }, signal) : null), { everyMs: 30_000 })
    : null

  async function replay() {
    const what = query.topic ? `of the topic ${query.topic}` : query.reason ? `with the reason ${words(query.reason)}` : 'of every reason and topic'
    const sure = await ask({ title: 'Replay dead letters', text: [`Dead letters ${what} are decoded again, by the rules that hold now.`, 'Those that become rows land exactly once; the others stay as they are.'], does: 'Replay' })
    if (!sure) return
    replaying = true
    ctx.redraw()
    await ctx.app.act(() => ctx.api.post('/dead-letters/replay', { reason: query.reason, topic: query.topic }), outcome)
    replaying = false
    reasons.reload()
    samples?.restart()
  }

  return {
    routed(route) {
      query = route.query
      samples?.restart()
    },
    draw: () => ({
      title: 'Dead letters',
      actions: ctx.may('dead_letters') && reasons.value?.reasons.length ? h('button', { class: 'button', type: 'button', 'aria-label': query.reason || query.topic ? 'Replay these' : 'Replay all', disabled: replaying, onclick: replay }, [icon('replay', 14), h('span', null, replaying ? 'Replaying…' : query.reason || query.topic ? 'Replay these' : 'Replay all')]) : null,
      body: show(reasons, ({ reasons: all }) => (all.length === 0 ? none() : h('div', { class: 'columns columns-even' }, [
        h('div', { class: 'column-side' }, panel({ title: 'By reason and topic' }, reasonList(ctx, all, query))),
        h('div', { class: 'column-main', 'aria-live': 'off' }, query.reason || query.topic ? sampleList(ctx, samples, query) : state({ look: 'dead-letters', title: 'Choose a reason or a topic', text: 'Then its newest messages are here, with a rule that would take them where one can be guessed.' })),
      ])), { lines: 6 }),
    }),
  }
}

function outcome({ wanted, landed, before, refused, partly }) {
  if (wanted === 0) return 'There was nothing to replay'
  const rest = [before ? `${count(before)} had landed before` : '', refused ? `${count(refused)} refused again` : '', partly ? `${count(partly)} in part` : ''].filter(Boolean).join(', ')
  return `${count(landed)} of ${plural(wanted, 'message')} landed${rest ? `; ${rest}` : ''}`
}

function none() {
  return state({ look: 'check', kind: 'good', title: 'No dead letter', text: 'Every message became rows. A message that cannot is kept byte for byte, and is here with the reason.' })
}

function reasonList(ctx, all, query) {
  const most = Math.max(...all.map((reason) => reason.count))
  return h('ul', { class: 'reasons' }, [...all].sort((a, b) => b.count - a.count).map((reason) => {
    const open = query.reason === reason.reason
    return h('li', { key: reason.reason }, [
      h('a', { class: 'reason', href: link('dead-letters', [], open && !query.topic ? {} : { reason: reason.reason }), 'aria-current': open && !query.topic ? 'true' : null, 'aria-expanded': open ? 'true' : 'false' }, [
        h('span', { class: 'reason-name' }, words(reason.reason)),
        h('strong', null, short(reason.count)),
        h('span', { class: 'reason-bar', 'aria-hidden': 'true' }, h('span', { style: { width: `${Math.max(2, (reason.count / most) * 100)}%` } })),
        h('span', { class: 'quiet' }, ['last ', when(reason.last, ctx.now())]),
      ]),
      open ? h('ul', { class: 'reason-topics' }, (reason.topics ?? []).map(({ topic, count: n }) => h('li', { key: topic }, h('a', { href: link('dead-letters', [], { reason: reason.reason, topic }), 'aria-current': query.topic === topic ? 'true' : null }, [h('code', null, topic), h('span', null, short(n))])))) : null,
    ])
  }))
}

function sampleList(ctx, samples, query) {
  const title = query.topic ? h('code', null, query.topic) : words(query.reason)
  if (!samples) return state({ look: 'lock', title: 'Payloads are not for your role', text: `You see counts. What the messages are, and replaying them, needs the role operator; yours is ${ctx.app.me.role}.` })
  return show(samples, (answer) => {
    const shown = answer?.samples ?? []
    if (shown.length === 0) return state({ title: 'No sample', text: 'They were replayed or retired meanwhile.' })
    return [
      h('h2', { class: 'samples-title' }, [title, h('span', { class: 'quiet' }, ` the newest ${shown.length}`)]),
      suggestion(shown.find((sample) => sample.suggestion)),
      shown.map((one) => sample(ctx, one)),
    ]
  }, { lines: 6 })
}

/** The rule that would take such messages, once. */
function suggestion(found) {
  if (!found) return null
  return panel({ title: 'A rule that would take them', look: 'panel-suggestion', actions: copy(found.suggestion, 'Copy the rule', note) }, [
    h('pre', { class: 'payload', tabindex: 0, 'aria-label': 'Suggested rule' }, found.suggestion),
    h('p', { class: 'quiet' }, 'Put it into the configuration of ingest, look over its names and units, start ingest again, then replay.'),
  ])
}

function sample(ctx, one) {
  const place = `${one.source}/${one.epoch}/${one.offset}`
  const text = one.payload_text ?? null
  const shown = text === null ? hex(one.payload_base64 ?? '') : pretty(text)
  return h('article', { class: 'panel sample', key: place, 'aria-label': `Message ${place}` }, [
    h('header', { class: 'sample-head' }, [
      h('p', { class: 'topic' }, one.topic),
      h('p', { class: 'quiet' }, [h('time', { datetime: one.received, title: clock(one.received, ctx.now()) }, when(one.received, ctx.now())), ' · ', h('code', null, place)]),
    ]),
    h('p', { class: 'sample-reason' }, [icon('warning', 14), words(one.reason)]),
    shown ? h('pre', { class: 'payload', tabindex: 0, 'aria-label': text === null ? 'Payload, bytes as hex' : 'Payload' }, shown) : null,
    one.masked ? h('p', { class: 'quiet small-print' }, 'Your role may not see what speaks of patients: values are masked.') : null,
  ])
}
