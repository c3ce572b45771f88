// Keys that act anywhere, and the list of them. They can be turned off, for those whose speech is typed.

import { dialog } from './dialog.js'
import { h } from './dom.js'
import { go, link } from './router.js'

const KEY = 'tidemark-keys'
const TOGETHER_MS = 1200
const PLACES = { o: 'overview', a: 'alerts', d: 'devices', s: 'sources', c: 'connections', t: 'topics', x: 'dead-letters', l: 'lake', e: 'settings' }

let on = stored()
let first = { key: '', at: 0 }

function stored() {
  try {
    return localStorage.getItem(KEY) !== 'off'
  } catch {
    return true
  }
}

function keep(value) {
  on = value
  try {
    if (value) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, 'off')
  } catch {
    // It holds for this page.
  }
}

/** Listens for keys, before rows do: `g a` must not acknowledge. `act` has what is not a place to go to: `theme`. */
export function listen(act) {
  const heard = (event) => {
    if (!on || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target.closest('input, textarea, select, [contenteditable], dialog')) return
    if (!pressed(event.key, act)) return
    event.preventDefault()
    event.stopPropagation()
  }
  document.addEventListener('keydown', heard, { capture: true })
}

function pressed(key, act) {
  const after = first.key === 'g' && performance.now() - first.at < TOGETHER_MS
  first = { key, at: performance.now() }
  if (after && PLACES[key]) {
    go(link(PLACES[key]))
    return true
  }
  if (key === '?') list()
  else if (key === '/') return focusSearch()
  else if (key === 't' && !after) act.theme()
  else return false
  return true
}

function focusSearch() {
  const search = document.querySelector('input[type="search"]')
  search?.focus()
  return Boolean(search)
}

const GROUPS = [
  ['Go to', [['g o', 'Overview'], ['g a', 'Alerts'], ['g d', 'Devices'], ['g s', 'Sources'], ['g c', 'Connections'], ['g t', 'Topics'], ['g x', 'Dead letters'], ['g l', 'Lake']]],
  ['In a list', [['↓ j', 'Next row'], ['↑ k', 'Row before'], ['Home End', 'First, last row'], ['Enter', 'Open'], ['a', 'Acknowledge the alert'], ['s', 'Silence the alert']]],
  ['Anywhere', [['/', 'Search'], ['t', 'Light or dark'], ['?', 'This list'], ['Esc', 'Close']]],
]

/** Shows them. */
export function list() {
  return dialog({
    title: 'Keyboard shortcuts',
    wide: true,
    draw: () => [
      h('div', { class: 'shortcuts' }, GROUPS.map(([title, keys]) => h('section', null, [
        h('h3', null, title),
        h('dl', null, keys.map(([key, what]) => h('div', null, [h('dt', null, key.split(' ').map((one) => h('kbd', null, one))), h('dd', null, what)]))),
      ]))),
      h('label', { class: 'check' }, [h('input', { type: 'checkbox', checked: on, onchange: (event) => keep(event.target.checked) }), 'Single keys act (those of rows always do, while a row has the focus)']),
    ],
  })
}
