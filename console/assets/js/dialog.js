// Questions and forms above the page: the browser's own dialog, which keeps the focus in and gives it back.

import { h, patch } from './dom.js'
import { icon } from './icons.js'

/** Opens a dialog; `draw(close)` gives its inside. Returns what it was closed with. */
export function dialog({ title, draw, wide = false }) {
  return new Promise((resolve) => {
    const el = document.createElement('dialog')
    el.className = wide ? 'dialog wide' : 'dialog'
    el.setAttribute('aria-labelledby', 'dialog-title')
    let result
    const close = (value) => {
      result = value
      el.close()
    }
    el.addEventListener('close', () => {
      el.remove()
      resolve(result)
    })
    el.addEventListener('click', (event) => {
      if (event.target === el) close()
    })
    document.body.append(el)
    patch(el, [
      h('div', { class: 'dialog-inside' }, [
        h('header', { class: 'dialog-head' }, [
          h('h2', { id: 'dialog-title' }, title),
          h('button', { class: 'plain', type: 'button', 'aria-label': 'Close', onclick: () => close() }, icon('close')),
        ]),
        draw(close),
      ]),
    ])
    el.showModal()
    el.querySelector('[data-first]')?.focus()
  })
}

/** Asks before something that can't be taken back; true if it shall be done. */
export function ask({ title, text, does, danger = false }) {
  return dialog({
    title,
    draw: (close) => [
      text.map((line) => h('p', { class: 'dialog-text' }, line)),
      h('div', { class: 'dialog-foot' }, [
        h('button', { class: 'button', type: 'button', onclick: () => close(false) }, 'Cancel'),
        h('button', { class: danger ? 'button danger' : 'button primary', type: 'button', 'data-first': true, onclick: () => close(true) }, does),
      ]),
    ],
  })
}

/** Asks for one of a few; returns its value, or undefined. */
export function choose({ title, text, options }) {
  return dialog({
    title,
    draw: (close) => [
      text ? h('p', { class: 'dialog-text' }, text) : null,
      h('div', { class: 'choices' }, options.map(({ value, label }, n) => h('button', { class: 'button', type: 'button', 'data-first': n === 0, onclick: () => close(value) }, label))),
    ],
  })
}
