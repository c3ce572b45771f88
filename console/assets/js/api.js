// The API: requests with the credentials that are kept in memory, answers or errors that say what to do.

/** An answer that is not the one asked for. `status` 0: nobody answered. */
export class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

const UNREACHABLE = 'Tidemark does not answer. Is the process running, and is this machine allowed to reach its admin address?'
const WITHOUT_WORDS = {
  401: 'Log in to see this.',
  403: 'Your role may not do this. Ask whoever runs Tidemark for another one.',
  404: 'There is no such thing, or no longer.',
  429: 'Too many requests: wait a moment.',
  503: 'Not ready yet: try again in a moment.',
}

export class Api {
  #authorization = null
  #strangers = new Set()

  /** Name and password, for as long as this page is open. */
  login(name, password) {
    const bytes = new TextEncoder().encode(`${name}:${password}`)
    this.#authorization = `Basic ${btoa(String.fromCharCode(...bytes))}`
  }

  /** The admin token, for as long as this page is open. */
  token(token) {
    this.#authorization = `Bearer ${token}`
  }

  logout() {
    this.#authorization = null
  }

  get hasCredentials() {
    return this.#authorization !== null
  }

  /** Calls `listener` whenever an answer says that somebody must log in. */
  onStranger(listener) {
    this.#strangers.add(listener)
  }

  get(path, query, signal) {
    return this.#json('GET', path + queryOf(query), undefined, signal)
  }

  post(path, body) {
    return this.#json('POST', path, body ?? {})
  }

  /** The answer as a stream of bytes. */
  async stream(path, signal) {
    const response = await this.#ask('GET', path, undefined, signal, 'text/event-stream')
    return response.body
  }

  async #json(method, path, body, signal) {
    const response = await this.#ask(method, path, body, signal, 'application/json')
    const text = await response.text()
    try {
      return text ? JSON.parse(text) : {}
    } catch {
      throw new Refused(response.status, 'The answer is not JSON: is something between this page and Tidemark?')
    }
  }

  async #ask(method, path, body, signal, accept) {
    const headers = { accept }
    if (this.#authorization) headers.authorization = this.#authorization
    if (body !== undefined) headers['content-type'] = 'application/json'
    let response
    try {
      response = await fetch(`api/v1${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        // What the browser may know of passwords is not ours, and it must not ask with a box of its own.
        credentials: 'omit',
        cache: 'no-store',
        redirect: 'error',
      })
    } catch (error) {
      if (error.name === 'AbortError') throw error
      throw new Refused(0, UNREACHABLE)
    }
    if (response.ok) return response
    const refused = new Refused(response.status, await wordsOf(response))
    if (response.status === 401) for (const listener of this.#strangers) listener()
    throw refused
  }
}

async function wordsOf(response) {
  try {
    const { error } = JSON.parse(await response.text())
    if (typeof error === 'string' && error) return error
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  return WITHOUT_WORDS[response.status] ?? `Tidemark answered ${response.status}.`
}

function queryOf(query) {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== '')
  return pairs.length ? `?${new URLSearchParams(pairs)}` : ''
}

/** Path segments from names that devices chose. */
export function at(...parts) {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join('')
}
