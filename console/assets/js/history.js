// Rates as they were since the page was opened: enough for a chart of a quarter of an hour. Pure.

const KEPT_MS = 15 * 60_000

export class History {
  times = []
  messages = []
  rows = []
  landings = []
  lag = []
  #data = null

  /** What the overview said at `now`. */
  add(now, { rates, lag }) {
    if (this.times.length && now / 1000 <= this.times.at(-1)) return
    this.times.push(now / 1000)
    this.messages.push(rates.messages_per_s)
    this.rows.push(rates.rows_per_s)
    this.landings.push(rates.landings_per_min)
    this.lag.push(lag.oldest_s)
    this.#data = null
    const old = this.times.findIndex((time) => time >= (now - KEPT_MS) / 1000)
    if (old > 0) for (const kept of [this.times, this.messages, this.rows, this.landings, this.lag]) kept.splice(0, old)
  }

  /** For a chart; the same object until something is added. */
  data() {
    this.#data ??= [[...this.times], [...this.messages], [...this.rows]]
    return this.#data
  }

  /** The last `n` of one of them. */
  last(what, n = 60) {
    return this[what].slice(-n)
  }
}
