// Serves the console's files and the API of a made-up ward, as `tidemark up` would serve its own.

import { createServer, request as ask } from 'node:http'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { answer } from './answers.mjs'
import { World, rfc } from './world.mjs'

const CONSOLE = new URL('../../../../console/', import.meta.url)
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml', woff2: 'font/woff2', txt: 'text/plain; charset=utf-8' }

/** The headers that the real server sends, from where they are written. */
async function headers() {
  const code = await readFile(new URL('src/lib.rs', CONSOLE), 'utf8')
  const found = [...code.matchAll(/\(\s*"([a-z-]+)",\s*"([^"]+)",?\s*\)/g)].map(([, name, value]) => [name, value])
  if (!found.some(([name]) => name === 'content-security-policy')) throw new Error('console/src/lib.rs: no content-security-policy')
  return Object.fromEntries(found)
}

/** Starts it: `url`, the `world`, ways to make things happen, `close`. Options are the world's, and `password`, `port`, `api`. */
export async function mock(options = {}) {
  const world = new World(options)
  const sending = new Set()
  const always = await headers()
  const state = { broken: false, requests: [] }

  const send = (name, data) => {
    for (const response of sending) response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  async function respond(request, response) {
    const url = new URL(request.url, 'http://mock')
    if (!url.pathname.startsWith('/api/v1/')) return file(url.pathname, response, always)
    if (options.api) return pass(new URL(request.url, options.api), request, response)
    state.requests.push(`${request.method} ${url.pathname}`)
    if (state.broken) return json(response, 503, { error: 'ingest is starting: try again in a moment' })
    const wantedProof = options.password && `Basic ${Buffer.from(`f.keller:${options.password}`).toString('base64')}`
    if (wantedProof && request.headers.authorization !== wantedProof) return json(response, 401, { error: 'Log in: name and password, or the admin token' })
    const path = url.pathname.slice('/api/v1'.length)
    if (path === '/events') return events(request, response)
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {}
    const { status, body: said, event } = answer(world, { method: request.method, path, query: url.searchParams, body, now: Date.now() })
    json(response, status, said)
    if (event) send(...event)
  }

  function events(request, response) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(': hello\n\n')
    sending.add(response)
    request.on('close', () => sending.delete(response))
  }

  const server = createServer((request, response) => {
    respond(request, response).catch((error) => json(response, 500, { error: error.message }))
  })
  await new Promise((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const beats = [
    setInterval(() => {
      const spoke = world.tick(Date.now())
      if (spoke.length) send('heard', { devices: spoke.map(({ site, device }) => ({ site, device })) })
    }, 1000),
    setInterval(() => send('landed', world.land(Date.now())), 2000),
    setInterval(() => { for (const response of sending) response.write(': still here\n\n') }, 15_000),
  ]
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    world,
    state,
    send,
    /** An alert begins. */
    fire(alert) {
      const whole = { alert: `new-${world.alerts.length}`, rule: 'hypoxia', severity: 'critical', state: 'firing', site: 'ward-3', device: 'monitor-001', source: 'gateway-1', metric: 'spo2', value: '86 %', threshold: 'below 90 for 1m', since: rfc(Date.now()), by: null, until: null, ...alert }
      world.alerts.unshift(whole)
      send('alert', whole)
    },
    /** Cuts every stream of events. */
    cut() {
      for (const response of sending) response.destroy()
    },
    async close() {
      for (const beat of beats) clearInterval(beat)
      for (const response of sending) response.destroy()
      server.closeAllConnections?.()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Hands a request on to the API of a running Tidemark. */
function pass(to, request, response) {
  const { authorization, accept } = request.headers
  const headers = { accept, ...(authorization ? { authorization } : {}), ...(request.headers['content-type'] ? { 'content-type': request.headers['content-type'] } : {}) }
  const asked = ask(to, { method: request.method, headers }, (answered) => {
    response.writeHead(answered.statusCode, { 'content-type': answered.headers['content-type'] ?? 'text/plain', 'cache-control': 'no-store' })
    answered.pipe(response)
  })
  asked.on('error', (error) => (response.headersSent ? response.destroy() : json(response, 503, { error: error.message })))
  response.on('close', () => asked.destroy())
  request.pipe(asked)
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}

async function file(path, response, always) {
  const name = path === '/' ? 'index.html' : path.slice(1)
  const url = new URL(name, new URL('assets/', CONSOLE))
  const inside = fileURLToPath(url).startsWith(fileURLToPath(new URL('assets/', CONSOLE)))
  const bytes = inside ? await readFile(url).catch(() => null) : null
  if (!bytes) return json(response, 404, { error: 'no such file' })
  response.writeHead(200, { ...always, 'content-type': TYPES[name.split('.').at(-1)] ?? TYPES.txt })
  response.end(bytes)
}
