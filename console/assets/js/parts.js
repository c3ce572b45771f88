// The parts that views are made of.

import { h, names } from './dom.js'
import { ago, clock, words } from './format.js'
import { icon } from './icons.js'

/** A panel with a heading. */
export function panel({ title, note, actions, look, id }, ...children) {
  return h('section', { class: names('panel', look), 'aria-label': title, id }, [
    title ? h('header', { class: 'panel-head' }, [h('h2', null, title), note ? h('p', { class: 'panel-note' }, note) : null, actions ? h('div', { class: 'row panel-actions' }, actions) : null]) : null,
    children,
  ])
}

/** A number that matters, what it is, and a word about it. */
export function tile({ label, number, unit, about, chart, kind, link }) {
  return h(link ? 'a' : 'div', { class: names('tile', kind && `tile-${kind}`), href: link }, [
    h('span', { class: 'tile-label' }, label),
    h('span', { class: 'tile-number' }, [number, unit ? h('span', { class: 'tile-unit' }, unit) : null]),
    about ? h('span', { class: 'tile-about' }, about) : null,
    chart ? h('span', { class: 'tile-chart' }, chart) : null,
  ])
}

/** A word with a sign before it. `kind`: good, warning, critical, info, quiet. */
export function pill(kind, text, look) {
  return h('span', { class: `pill pill-${kind}` }, [look ? icon(look, 13) : h('span', { class: 'dot', 'aria-hidden': 'true' }), text])
}

const STATES = {
  online: 'good', here: 'good', resolved: 'good',
  silent: 'critical', away: 'critical', firing: 'critical',
  behind: 'warning', pending: 'warning', suspect: 'warning',
  acknowledged: 'info', silenced: 'quiet', unknown: 'quiet',
  good: 'good', unchecked: 'quiet', bad: 'critical',
}

/** The state of a device, source, alert or value, in its colour. */
export function stateOf(text) {
  return pill(STATES[text] ?? 'quiet', words(text))
}

const SEVERITIES = { critical: 'critical', warning: 'warning', info: 'info' }

/** How bad something is: a sign of its own shape, and the word for those who do not see it. */
export function severity(text) {
  const kind = SEVERITIES[text] ?? 'info'
  return h('span', { class: `severity severity-${kind}`, title: text }, [icon(kind, 18), h('span', { class: 'unseen' }, `${text}: `)])
}

/** When something was, in words; exactly on hovering. */
export function when(time, now) {
  if (!time) return h('span', { class: 'quiet' }, 'never')
  return h('time', { datetime: time, title: clock(time, now) }, ago(time, now))
}

/** A bar of parts: `{ label, n, kind }`; its text is what a screen reader says. */
export function bar(parts, label) {
  const all = parts.reduce((sum, part) => sum + part.n, 0)
  const text = parts.map((part) => `${part.label} ${part.n}`).join(', ')
  return h('div', { class: 'bar', role: 'img', 'aria-label': `${label}: ${text}` }, all === 0 ? null : parts.filter((part) => part.n > 0).map((part) => h('span', { class: `bar-${part.kind}`, style: { 'flex-grow': String(part.n) }, title: `${part.label}: ${part.n}` })))
}

/** One of a few: a row of links that stay on the view. */
export function segments(label, options) {
  return h('nav', { class: 'segments', 'aria-label': label }, options.map(({ text, href, current, number }) =>
    h('a', { href, 'aria-current': current ? 'true' : null }, [text, number === undefined || number === null ? null : h('span', { class: 'segment-number' }, String(number))])))
}

const typing = new WeakMap()

/** A search field; `changed(text)` comes once typing rests, if the field is still there. */
export function search({ label, value, changed }) {
  return h('label', { class: 'search' }, [
    icon('search'),
    h('span', { class: 'unseen' }, label),
    h('input', {
      type: 'search', placeholder: label, autocomplete: 'off', spellcheck: 'false',
      hook: { mount: (el) => { el.value = value } },
      oninput: (event) => {
        const field = event.target
        clearTimeout(typing.get(field))
        typing.set(field, setTimeout(() => { if (field.isConnected) changed(field.value.trim()) }, 200))
      },
      onkeydown: (event) => {
        if (event.key === 'Escape' && event.target.value) {
          event.target.value = ''
          changed('')
          event.stopPropagation()
        }
      },
    }),
    h('kbd', { 'aria-hidden': 'true' }, '/'),
  ])
}

/** A table of a size that needs no tricks. `columns`: `{ label, class, cell(row) }`. */
export function table({ label, columns, rows, key }) {
  return h('div', { class: 'table-room', tabindex: 0, role: 'region', 'aria-label': label }, [
    h('table', { class: 'table' }, [
      h('caption', { class: 'unseen' }, label),
      h('thead', null, h('tr', null, columns.map((column) => h('th', { scope: 'col', class: column.class }, column.label)))),
      h('tbody', null, rows.map((row) => h('tr', { key: key(row) }, columns.map((column, n) => h(n === 0 ? 'th' : 'td', { scope: n === 0 ? 'row' : null, class: column.class }, column.cell(row)))))),
    ]),
  ])
}

/** How much of something is used. */
export function meter({ label, used, max, text }) {
  const share = max > 0 ? Math.min(1, used / max) : 0
  const kind = share >= 0.95 ? 'critical' : share >= 0.8 ? 'warning' : 'good'
  return h('div', { class: 'meter', role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': max, 'aria-valuenow': used, 'aria-valuetext': text }, h('span', { class: `meter-${kind}`, style: { width: `${Math.max(share * 100, used > 0 ? 1.5 : 0)}%` } }))
}

/** A button that copies `text`. */
export function copy(text, label, say) {
  return h('button', {
    class: 'button small', type: 'button', 'aria-label': label,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text)
        say('Copied')
      } catch {
        say('The browser does not let this page copy: select the text instead', 'bad')
      }
    },
  }, [icon('copy', 14), 'Copy'])
}
