// What a view reads from the API: loading, there, or in error; read again when news come, and now and then without any.

import { atMost } from './frame.js'

/** `load(signal)` gives the value. `on` names the events after which it is read again, at most every `atMostMs`. */
export class Resource {
  value = undefined
  error = null
  loading = true
  /** When the value was read, by the page's clock. */
  at = 0
  #load
  #redraw
  #abort = null
  #every
  #timer = null
  #on
  #soon
  #closed = false
  /** News came while the value was read: it may be older. */
  #old = false

  constructor(load, redraw, { on = [], everyMs = 15_000, atMostMs = 1000 } = {}) {
    this.#load = load
    this.#redraw = redraw
    this.#every = everyMs
    this.#on = on
    this.#soon = atMost(atMostMs, () => this.reload())
    this.reload()
  }

  /** An event came. */
  heard(name) {
    if (name === 'missed' || this.#on.includes(name)) this.#soon()
  }

  /** Forgets the value and reads it anew: the question has changed. */
  restart() {
    this.value = undefined
    this.#abort?.abort()
    this.#abort = null
    return this.reload()
  }

  async reload() {
    if (this.#closed) return
    this.#old = this.#abort !== null
    if (this.#old) return
    clearTimeout(this.#timer)
    if (document.hidden && this.value !== undefined) return this.#again()
    const abort = new AbortController()
    this.#abort = abort
    this.loading = true
    try {
      const value = await this.#load(abort.signal)
      if (this.#abort !== abort) return
      this.value = value
      this.error = null
      this.at = Date.now()
    } catch (error) {
      if (this.#abort !== abort) return
      if (error.name !== 'AbortError') this.error = error
    }
    this.#abort = null
    this.loading = false
    this.#redraw()
    this.#again()
  }

  close() {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#soon.cancel()
    this.#abort?.abort()
    this.#abort = null
  }

  #again() {
    if (this.#closed) return
    // What is refused for good is not asked for again and again.
    const final = this.error && [401, 403, 404].includes(this.error.status)
    if (!this.error && this.#old) return this.#soon()
    if (!final) this.#timer = setTimeout(() => this.reload(), this.error ? Math.min(this.#every, 4000) : this.#every)
  }
}
