// Words for people who do not look: live regions, and notes that go by themselves.

import { icon } from './icons.js'
import { h, patch } from './dom.js'

const STAY_MS = 6000
const AT_MOST = 3
let notes = []
let number = 0

/** Has a screen reader say it when it is done with its sentence. */
export function say(text) {
  put('said', text)
}

/** Has a screen reader say it now. */
export function alarm(text) {
  put('alarmed', text)
}

function put(id, text) {
  const region = document.getElementById(id)
  // The same words twice are said twice only if the text changes.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text
}

/** A note at the edge: `kind` is `good` or `bad`. */
export function note(text, kind = 'good') {
  number += 1
  const id = number
  notes = [...notes.slice(1 - AT_MOST), { id, text, kind }]
  draw()
  if (kind === 'bad') alarm(text)
  else say(text)
  setTimeout(() => forget(id), kind === 'bad' ? 2 * STAY_MS : STAY_MS)
}

function forget(id) {
  notes = notes.filter((note) => note.id !== id)
  draw()
}

function draw() {
  patch(
    document.getElementById('toasts'),
    notes.map(({ id, text, kind }) =>
      h('div', { class: `toast toast-${kind}`, key: id }, [
        icon(kind === 'bad' ? 'warning' : 'check'),
        h('span', null, text),
        h('button', { class: 'plain', type: 'button', 'aria-label': 'Dismiss', onclick: () => forget(id) }, icon('close', 14)),
      ]),
    ),
  )
}
