// The stream of events: read by `fetch`, which can carry a header, and opened again when it breaks.

const NAMES = ['alert', 'landed', 'heard', 'missed']
const SILENT_MS = 40_000
const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000]

/** Takes text as it comes, returns the events that are whole. A line may end anywhere in a chunk. */
export class EventReader {
  #rest = ''
  #name = ''
  #data = []

  push(text) {
    this.#rest += text
    const lines = this.#rest.split(/\r?\n/)
    this.#rest = lines.pop()
    return lines.flatMap((line) => this.#line(line) ?? [])
  }

  #line(line) {
    if (line === '') {
      const event = this.#data.length ? { name: this.#name || 'message', data: this.#data.join('\n') } : null
      this.#name = ''
      this.#data = []
      return event
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.#name = value
    if (field === 'data') this.#data.push(value)
    return null
  }
}

/** Whether news come, and the news. */
export class Live {
  /** `connecting`, `live` or `lost`. */
  state = 'connecting'
  #api
  #listeners = new Set()
  #abort = null
  #tries = 0
  #timer = null
  #wanted = false

  constructor(api) {
    this.#api = api
  }

  /** `listener(name, data)`; also `state` when that changes. */
  listen(listener) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start() {
    if (this.#wanted) return
    this.#wanted = true
    this.#open()
  }

  stop() {
    this.#wanted = false
    clearTimeout(this.#timer)
    this.#abort?.abort()
  }

  /** Tries at once instead of when it is due. */
  retry() {
    if (!this.#wanted || this.state === 'live') return
    clearTimeout(this.#timer)
    this.#abort?.abort()
    this.#open()
  }

  async #open() {
    const abort = new AbortController()
    this.#abort = abort
    try {
      const body = await this.#api.stream('/events', abort.signal)
      const again = this.#tries > 0
      this.#tries = 0
      this.#become('live')
      if (again) this.#tell('missed', {})
      await this.#read(body, abort)
    } catch (error) {
      if (error.status === 401 || error.status === 403) return this.#become('lost')
    }
    if (this.#wanted && this.#abort === abort) this.#later()
  }

  async #read(body, abort) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader()
    const events = new EventReader()
    for (;;) {
      // A comment comes every 15 s: longer silence is a dead connection.
      const silence = setTimeout(() => abort.abort(), SILENT_MS)
      const { value, done } = await reader.read().finally(() => clearTimeout(silence))
      if (done) return
      for (const event of events.push(value)) this.#parse(event)
    }
  }

  #parse({ name, data }) {
    if (!NAMES.includes(name)) return
    try {
      this.#tell(name, JSON.parse(data || '{}'))
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }

  #later() {
    const wait = BACK_OFF_MS[Math.min(this.#tries, BACK_OFF_MS.length - 1)]
    this.#tries += 1
    this.#become(this.#tries > 1 ? 'lost' : 'connecting')
    this.#timer = setTimeout(() => this.#open(), wait * (0.75 + Math.random() / 2))
  }

  #become(state) {
    if (this.state === state) return
    this.state = state
    this.#tell('state', state)
  }

  #tell(name, data) {
    for (const listener of [...this.#listeners]) listener(name, data)
  }
}
