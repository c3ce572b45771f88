// Addresses behind the `#`: a view, what it is about, and how it is filtered. Pure but for the two functions at the end.

/** `#/devices/ward-3/monitor-001?metric=spo2` → `{ view, parts, query }`. */
export function parse(hash) {
  const [path, query] = hash.replace(/^#/, '').split('?', 2)
  const parts = path.split('/').filter(Boolean).map(decode)
  return { view: parts[0] ?? 'overview', parts: parts.slice(1), query: Object.fromEntries(new URLSearchParams(query ?? '')) }
}

function decode(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The address of a view. */
export function link(view, parts = [], query = {}) {
  const path = [view, ...parts].map(encodeURIComponent).join('/')
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '')
  return `#/${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ''}`
}

/** Goes to an address, as a link would. */
export function go(address) {
  location.hash = address
}

/** Changes the address of what is shown already: no step back leads to it. */
export function replace(address) {
  history.replaceState(null, '', address)
}
