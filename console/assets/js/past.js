// The last values of devices, for lines beside them: what the lake has, asked for rows in sight only, and what came since.

const KEPT = 40
const DEVICES_MAX = 8000
const AT_ONCE = 1
const PAUSE_MS = 120
const REST_MS = 250

export class Past {
  #values = new Map()
  #asked = new Set()
  #waiting = []
  #running = 0
  #fetch
  #redraw
  #abort = new AbortController()
  #timer = null

  /** `fetchPoints(device, metric, signal)` gives points as the API does. */
  constructor(fetchPoints, redraw) {
    this.#fetch = fetchPoints
    this.#redraw = redraw
  }

  /** What a device says now. */
  add(device, metric) {
    if (!metric) return
    const key = keyOf(device, metric)
    const known = this.#values.get(key)
    if (known && known.heard === device.heard) return
    const values = known?.values ?? []
    values.push(metric.value)
    if (values.length > KEPT) values.shift()
    this.#keep(key, { values, heard: device.heard, metric: metric.metric })
  }

  of(device, metric) {
    return this.#values.get(keyOf(device, metric))?.values ?? []
  }

  /** Which devices are in sight: once the list rests, the lake is asked what they said before. */
  look(devices) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#waiting = devices.filter((device) => device && !this.#asked.has(`${device.site}/${device.device}`))
      while (this.#running < AT_ONCE && this.#waiting.length) this.#next()
    }, REST_MS)
  }

  close() {
    clearTimeout(this.#timer)
    this.#waiting = []
    this.#abort.abort()
  }

  async #next() {
    const device = this.#waiting.shift()
    const metric = device.metrics?.find((one) => one.value !== null && one.value !== undefined)
    this.#asked.add(`${device.site}/${device.device}`)
    if (!metric) return
    this.#running += 1
    try {
      const points = await this.#fetch(device, metric, this.#abort.signal)
      const key = keyOf(device, metric)
      const live = this.#values.get(key)
      this.#keep(key, { heard: device.heard, ...live, values: [...points.map((point) => point[1]), ...(live?.values ?? [])].slice(-KEPT) })
      this.#redraw()
    } catch {
      // A line without a past: it grows from now on.
    }
    this.#running -= 1
    // The lake answers others, too.
    if (!this.#abort.signal.aborted) setTimeout(() => { if (this.#waiting.length && this.#running < AT_ONCE) this.#next() }, PAUSE_MS)
  }

  #keep(key, value) {
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > DEVICES_MAX) this.#values.delete(this.#values.keys().next().value)
    if (this.#asked.size > DEVICES_MAX) this.#asked.clear()
  }
}

function keyOf(device, metric) {
  return `${device.site}/${device.device}/${metric.metric}`
}
