// A list that the API gives in pages: read as far as somebody looks, each page read again when what it shows has changed, and now
// and then without any news.

import { atMost } from './frame.js'

/** More rows than this are not kept: a search finds them. */
export const ROWS_MAX = 20_000

export class Pages {
  rows = []
  error = null
  totals = null
  #pages = []
  #fetch
  #redraw
  #abort = new AbortController()
  #busy = false
  #seen = { first: 0, last: 0 }
  #soon
  #every
  #timer = null

  /** `fetchPage(after, signal)` gives `{ items, next, totals }`. */
  constructor(fetchPage, redraw, { atMostMs = 1000, everyMs = 30_000 } = {}) {
    this.#fetch = fetchPage
    this.#redraw = redraw
    this.#every = everyMs
    this.#soon = atMost(atMostMs, () => this.#work())
    this.#again()
    this.#work()
  }

  /** Whether anything has been read. */
  get begun() {
    return this.#pages.length > 0
  }

  /** Whether there is more than what was read. */
  get more() {
    return !this.begun || (this.#pages.at(-1).next !== null && this.rows.length < ROWS_MAX)
  }

  /** Says which rows are in sight. */
  look(first, last) {
    this.#seen = { first, last }
    if (this.error) return
    if (this.more && last + 40 > this.rows.length) this.#work()
    else if (this.#wanted() >= 0) this.#soon()
  }

  /** Something changed: pages in sight are read again soon, others once they are looked at. */
  changed() {
    for (const page of this.#pages) page.old = true
    this.#soon()
  }

  /** Tries again after an error. */
  retry() {
    this.error = null
    this.#redraw()
    this.#work()
  }

  close() {
    clearTimeout(this.#timer)
    this.#soon.cancel()
    this.#abort.abort()
  }

  /** One request at a time, the first page that is wanted first. */
  async #work() {
    if (this.#busy || this.#abort.signal.aborted || document.hidden) return
    const number = this.#wanted()
    if (number < 0) return
    this.#busy = true
    try {
      await this.#read(number)
      this.error = null
    } catch (error) {
      if (error.name === 'AbortError') return
      if (this.#pages[number]) this.#pages[number].old = true
      this.error = error
    } finally {
      this.#busy = false
    }
    this.#redraw()
    this.#again()
    if (this.error) return
    if (this.more && this.#seen.last + 40 > this.rows.length) this.#work()
    // News came while it was read.
    else if (this.#wanted() >= 0) this.#soon()
  }

  #again() {
    clearTimeout(this.#timer)
    // What is refused for good is not asked for again and again.
    if (this.#abort.signal.aborted || [401, 403, 404].includes(this.error?.status)) return
    this.#timer = setTimeout(() => {
      this.changed()
      this.#again()
    }, this.error ? Math.min(this.#every, 4000) : this.#every)
  }

  #wanted() {
    if (!this.begun) return 0
    let start = 0
    const old = this.#pages.findIndex((page) => {
      const inSight = start < this.#seen.last && start + page.items.length > this.#seen.first
      start += page.items.length
      return page.old && (inSight || page.items.length === 0)
    })
    if (old >= 0) return old
    return this.more && this.#seen.last + 40 > this.rows.length ? this.#pages.length : -1
  }

  async #read(number) {
    const after = number === 0 ? null : this.#pages[number - 1].next
    // News from here on may be of what is being read.
    if (this.#pages[number]) this.#pages[number].old = false
    const { items, next, totals } = await this.#fetch(after, this.#abort.signal)
    const before = this.#pages[number]
    this.#pages[number] = { items, next, old: before?.old ?? false }
    if (next === null) this.#pages.length = number + 1
    else if (before && before.next !== next && this.#pages[number + 1]) this.#pages[number + 1].old = true
    this.totals = totals ?? this.totals
    this.rows = this.#pages.length === 1 ? items : this.#pages.flatMap((page) => page.items)
  }
}
