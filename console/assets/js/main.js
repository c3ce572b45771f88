// Starts the page: who is asking, which view, and one drawing a frame of whatever has changed.

import { Api } from './api.js'
import { patch } from './dom.js'
import { ruleWords } from './format.js'
import { frames } from './frame.js'
import { History } from './history.js'
import { Live } from './live.js'
import { Login } from './login.js'
import { Resource } from './resource.js'
import { go, link, parse } from './router.js'
import { alarm, note, say } from './say.js'
import { shell } from './shell.js'
import * as shortcuts from './shortcuts.js'
import { failed, skeleton } from './states.js'
import * as theme from './theme.js'
import { alerts } from './views/alerts.js'
import { connections } from './views/connections.js'
import { deadLetters } from './views/dead_letters.js'
import { device } from './views/device.js'
import { devices } from './views/devices.js'
import { lake } from './views/lake.js'
import { overview } from './views/overview.js'
import { settings } from './views/settings.js'
import { sources } from './views/sources.js'
import { topics } from './views/topics.js'

const VIEWS = { overview, alerts, devices, sources, connections, topics, 'dead-letters': deadLetters, lake, settings }

class App {
  api = new Api()
  live = new Live(this.api)
  redraw = frames(() => this.#draw())
  route = parse(location.hash)
  me = null
  /** What the overview says, for badges too. */
  overview = null
  /** Rates since the page was opened. */
  history = new History()
  #login = null
  #failure = null
  #open = null
  #skew = 0

  async start() {
    this.api.onStranger(() => this.#stranger())
    this.live.listen((name, data) => this.#heard(name, data))
    shortcuts.listen({ theme: () => this.nextTheme() })
    addEventListener('hashchange', () => this.#routed())
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#heard('missed', {}) })
    // What is written as "12 s ago" grows old by itself.
    setInterval(this.redraw, 1000)
    this.redraw()
    await this.#enter().catch((error) => {
      if (error.status !== 401) this.#failure = error
    })
    this.redraw()
  }

  /** Now, by the server's clock. */
  now() {
    return Date.now() + this.#skew
  }

  may(what) {
    return this.me?.role === 'admin' || Boolean(this.me?.may?.includes(what))
  }

  nextTheme() {
    say(`Colours: ${theme.next()}`)
    this.redraw()
  }

  logout() {
    this.api.logout()
    this.#leave()
    this.#login = new Login(this.api, () => this.#enter(), this.redraw)
    this.redraw()
  }

  /** Something that a person asked for; what comes of it is said. */
  async act(does, done) {
    try {
      const answer = await does()
      note(typeof done === 'function' ? done(answer) : done)
      return answer
    } catch (error) {
      note(error.message, 'bad')
      return null
    } finally {
      this.redraw()
    }
  }

  async #enter() {
    this.me = await this.api.get('/me')
    this.#login = null
    this.#failure = null
    this.overview = new Resource((signal) => this.#readOverview(signal), this.redraw, { everyMs: 2000, on: ['alert'], atMostMs: 500 })
    this.live.start()
    this.#routed()
  }

  async #readOverview(signal) {
    const value = await this.api.get('/overview', {}, signal)
    const at = Date.parse(value.time)
    if (!Number.isNaN(at)) this.#skew = at - Date.now()
    this.history.add(this.now(), value)
    return value
  }

  #stranger() {
    if (this.#login) return
    this.#leave()
    this.#login = new Login(this.api, () => this.#enter(), this.redraw)
    this.redraw()
  }

  #leave() {
    this.live.stop()
    this.overview?.close()
    this.overview = null
    this.#close()
    this.me = null
  }

  #close() {
    for (const resource of this.#open?.resources ?? []) resource.close()
    this.#open?.view.close?.()
    this.#open = null
  }

  #routed() {
    const route = parse(location.hash)
    const before = this.route
    this.route = VIEWS[route.view] ? route : { view: 'overview', parts: [], query: {} }
    if (!this.me) return
    const same = this.#open && before.view === this.route.view && before.parts.join('/') === this.route.parts.join('/')
    if (same && this.#open.view.routed) {
      this.#open.view.routed(this.route)
    } else {
      this.#show()
      if (before !== this.route && document.activeElement && this.#open) requestAnimationFrame(() => this.#arrive(before))
    }
    this.redraw()
  }

  /** The focus goes to the new view's title, as it would to a new page. */
  #arrive(before) {
    if (before.view === this.route.view && before.parts.join('/') === this.route.parts.join('/')) return
    document.getElementById('title')?.focus({ preventScroll: true })
  }

  #show() {
    this.#close()
    const resources = []
    const opened = { resources, view: null }
    const make = this.route.view === 'devices' && this.route.parts.length === 2 ? device : VIEWS[this.route.view]
    const resource = (load, options) => {
      const one = new Resource(load, this.redraw, options)
      resources.push(one)
      return one
    }
    opened.view = make({ app: this, api: this.api, route: this.route, redraw: this.redraw, resource, may: (what) => this.may(what), now: () => this.now() })
    this.#open = opened
  }

  #heard(name, data) {
    if (name === 'alert' && data.state === 'firing') tellAlert(data)
    if (name === 'state' && data === 'lost') say('News do not come. Trying again.')
    this.overview?.heard(name)
    for (const resource of this.#open?.resources ?? []) resource.heard(name)
    this.#open?.view.heard?.(name, data)
    this.redraw()
  }

  #draw() {
    const root = document.getElementById('app')
    if (this.#login) {
      document.title = 'Log in · Tidemark'
      return patch(root, this.#login.draw())
    }
    const view = this.#open ? this.#open.view.draw() : { title: 'Tidemark', body: this.#failure ? failed(this.#failure, () => location.reload()) : skeleton(5) }
    const firing = this.overview?.value?.alerts.firing
    document.title = `${firing ? `(${firing}) ` : ''}${view.name ?? view.title} · Tidemark`
    patch(root, shell(this, view))
  }
}

function tellAlert({ rule, device, site, severity }) {
  const text = `${severity} alert: ${ruleWords(rule)} on ${[device, site].filter(Boolean).join(', ')}`
  if (severity === 'critical') alarm(text)
  else say(text)
}

if (!location.hash) history.replaceState(null, '', link('overview'))
new App().start().catch((error) => go(`#/overview?error=${encodeURIComponent(error.name)}`))
