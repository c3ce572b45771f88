// A long list: only what is in sight is in the document. Keys move in it as in a grid; Enter opens a row.

import { h, names } from './dom.js'

const BESIDE = 6

/** Which rows are in sight. Pure. */
export function slice({ scrolled, seen, top, height, count }) {
  const first = Math.max(0, Math.floor((scrolled - top) / height) - BESIDE)
  const last = Math.min(count, Math.ceil((scrolled - top + seen) / height) + BESIDE)
  return { first: Math.min(first, Math.max(0, count - 1)), last: Math.max(last, Math.min(count, 1)) }
}

/** Where a list is scrolled to, and which of its rows keys act on. */
export class List {
  active = 0
  #redraw
  #scroller = null
  #body = null
  #focus = false
  #follow = () => this.#redraw()

  constructor(redraw) {
    this.#redraw = redraw
    this.hook = {
      mount: (el) => {
        this.#body = el
        this.#scroller = el.closest('[data-scroller]') ?? document.scrollingElement
        this.#scroller.addEventListener('scroll', this.#follow, { passive: true })
        addEventListener('resize', this.#follow)
        this.#redraw()
      },
      update: () => this.#settle(),
      unmount: () => {
        this.#scroller?.removeEventListener('scroll', this.#follow)
        removeEventListener('resize', this.#follow)
        this.#body = null
      },
    }
  }

  /** The rows to draw. */
  inSight(count, height) {
    if (!this.#body) return { first: 0, last: Math.min(count, 12) }
    const box = this.#body.getBoundingClientRect()
    const outer = this.#scroller.getBoundingClientRect()
    return slice({ scrolled: 0, seen: outer.height, top: box.top - outer.top, height, count })
  }

  get focused() {
    return Boolean(this.#body?.contains(document.activeElement))
  }

  move(to, count, height) {
    this.active = Math.max(0, Math.min(count - 1, to))
    this.#focus = true
    const box = this.#body.getBoundingClientRect()
    const outer = this.#scroller.getBoundingClientRect()
    const head = this.#body.previousElementSibling?.offsetHeight ?? 0
    const y = box.top - outer.top + this.active * height
    // Below the header that sticks to the top, above the bar at the bottom of a phone.
    if (y < head + 8) this.#scroller.scrollTop += y - head - 8
    else if (y + height > outer.height - 8) this.#scroller.scrollTop += y + height - outer.height + 8
    this.#redraw()
  }

  #settle() {
    if (!this.#focus) return
    this.#focus = false
    this.#body.querySelector('[tabindex="0"][role="row"]')?.focus({ preventScroll: true })
  }
}

/**
 * Draws the list. `columns`: `{ label, class, hidden }`; `row(index)`: `{ cells, open, class, label, keys }`, where `keys` are
 * further keys that act on the row.
 */
export function grid(list, { label, columns, count, height, row, look }) {
  const { first, last } = list.inSight(count, height)
  if (list.active >= count) list.active = Math.max(0, count - 1)
  const tabbable = list.active >= first && list.active < last ? list.active : Math.min(first + BESIDE, last - 1)
  const head = h('div', { role: 'rowgroup', class: 'grid-head' }, [
    h('div', { role: 'row', 'aria-rowindex': 1, class: 'grid-row' }, [
      columns.map((column) => h('div', { role: 'columnheader', class: names('cell', column.class) }, column.hidden ? h('span', { class: 'unseen' }, column.label) : column.label)),
    ]),
  ])
  const indexes = Array.from({ length: last - first }, (_, n) => first + n)
  // A row with the focus stays, wherever the list is scrolled to.
  if (list.focused && list.active < first) indexes.unshift(list.active)
  if (list.focused && list.active >= last) indexes.push(list.active)
  const rows = indexes.map((index) => drawRow(list, { index, one: row(index), columns, height, count, tabbable: index === tabbable }))
  const body = h('div', { role: 'rowgroup', class: 'grid-body', style: { height: `${count * height}px` }, hook: list.hook }, rows)
  return h('div', { role: 'grid', class: names('grid', look), 'aria-label': label, 'aria-rowcount': count + 1, 'aria-readonly': 'true' }, [head, body])
}

function drawRow(list, { index, one, columns, height, count, tabbable }) {
  const act = (event) => onKey(event, list, { index, one, height, count })
  return h(
    'div',
    {
      role: 'row',
      key: index,
      class: names('grid-row', one.class, { 'can-open': one.open }),
      style: { top: `${index * height}px`, height: `${height}px` },
      'aria-rowindex': index + 2,
      'aria-label': one.label,
      tabindex: tabbable ? 0 : -1,
      onkeydown: act,
      onfocus: () => { list.active = index },
      onclick: one.open ? (event) => { if (!event.target.closest('button, a')) one.open() } : null,
    },
    one.cells.map((cell, n) => h('div', { role: 'gridcell', class: names('cell', columns[n].class) }, cell)),
  )
}

function onKey(event, list, { index, one, height, count }) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return
  const page = Math.max(1, Math.floor(innerHeight / height) - 4)
  const moves = { ArrowDown: index + 1, ArrowUp: index - 1, j: index + 1, k: index - 1, Home: 0, End: count - 1, PageDown: index + page, PageUp: index - page }
  if (event.key in moves) list.move(moves[event.key], count, height)
  else if (event.key === 'Enter' && one.open) one.open()
  else if (one.keys?.[event.key]) one.keys[event.key]()
  else return
  event.preventDefault()
  event.stopPropagation()
}
