// Who is asking: name and password, or the admin token. Kept in memory for as long as the page is open, nowhere else.

import { h } from './dom.js'
import { icon, mark } from './icons.js'

export class Login {
  problem = null
  busy = false
  token = false
  #api
  #done
  #redraw

  /** `done()` tries the credentials; it throws what the server says of them. */
  constructor(api, done, redraw) {
    this.#api = api
    this.#done = done
    this.#redraw = redraw
  }

  async #submit(event) {
    event.preventDefault()
    const form = new FormData(event.target)
    if (this.token) this.#api.token(String(form.get('token')).trim())
    else this.#api.login(String(form.get('name')), String(form.get('password')))
    this.busy = true
    this.problem = null
    this.#redraw()
    try {
      await this.#done()
    } catch (error) {
      this.#api.logout()
      this.problem = error.status === 401 ? (this.token ? 'That is not the token.' : 'That name and password do not belong together.') : error.message
    }
    this.busy = false
    this.#redraw()
  }

  draw() {
    const other = this.token ? 'Use a name and a password' : 'Use the admin token'
    return h('main', { class: 'login', id: 'main' }, [
      h('form', { class: 'login-card', onsubmit: (event) => this.#submit(event), 'aria-labelledby': 'login-title' }, [
        mark(),
        h('h1', { id: 'login-title' }, 'Log in to Tidemark'),
        h('p', { class: 'quiet' }, 'What you enter is kept in the memory of this page and forgotten when you close it.'),
        this.problem ? h('p', { class: 'problem', role: 'alert' }, [icon('warning'), this.problem]) : null,
        this.token ? field('token', 'Admin token', 'password', 'off') : [field('name', 'Name', 'text', 'username'), field('password', 'Password', 'password', 'current-password')],
        h('button', { class: 'button primary wide', type: 'submit', disabled: this.busy }, this.busy ? 'Logging in…' : 'Log in'),
        h('button', { class: 'link', type: 'button', onclick: () => { this.token = !this.token; this.problem = null; this.#redraw() } }, other),
      ]),
    ])
  }
}

function field(name, label, type, autocomplete) {
  return h('label', { class: 'field', key: name }, [h('span', null, label), h('input', { name, type, autocomplete, required: true, spellcheck: 'false', autocapitalize: 'none' })])
}
