// What stands where there is nothing to see: loading, nothing there, refused, in error. Each says what to do.

import { h, names } from './dom.js'
import { icon } from './icons.js'

/** A picture, a sentence, what to do, and buttons for it. */
export function state({ look = 'empty', kind = '', title, text, actions = [] }) {
  return h('div', { class: names('state', kind && `state-${kind}`) }, [
    h('span', { class: 'state-icon' }, icon(look, 22)),
    h('p', { class: 'state-title' }, title),
    text ? h('p', { class: 'state-text' }, text) : null,
    actions.length ? h('div', { class: 'row' }, actions) : null,
  ])
}

/** Bars where lines of text will be. */
export function skeleton(lines = 4) {
  const widths = ['72%', '54%', '88%', '40%', '64%', '80%']
  return h('div', { class: 'skeleton', role: 'status', 'aria-label': 'Loading' }, [
    ...Array.from({ length: lines }, (_, n) => h('span', { class: 'bone', style: { width: widths[n % widths.length] } })),
  ])
}

/** Draws a resource by `draw(value)`, or whatever it is instead; old values stay, with a word on why they are old. */
export function show(resource, draw, { lines = 4 } = {}) {
  const { value, error } = resource
  if (value !== undefined) {
    return [error ? stale(resource) : null, draw(value)]
  }
  return error ? failed(error, () => resource.reload()) : skeleton(lines)
}

function stale(resource) {
  return h('p', { class: 'stale', role: 'status' }, [
    icon('offline'),
    h('span', null, 'Not up to date: ', resource.error.message),
    h('button', { class: 'button small', type: 'button', onclick: () => resource.reload() }, 'Try again'),
  ])
}

/** An error in the place of what was asked for. */
export function failed(error, again) {
  if (error.status === 403) return state({ look: 'lock', title: 'Not for your role', text: error.message })
  if (error.status === 404) return state({ look: 'search', title: 'Not there', text: error.message })
  return state({
    look: error.status === 0 ? 'offline' : 'warning',
    kind: 'bad',
    title: error.status === 0 ? 'No answer' : 'That did not work',
    text: error.message,
    actions: again ? [h('button', { class: 'button', type: 'button', onclick: again }, 'Try again')] : [],
  })
}
