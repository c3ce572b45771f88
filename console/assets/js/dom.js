// Virtual nodes and their patching: a view says what is to be seen, and only what differs touches the document.
// Text is text: nothing here, or anywhere else, makes HTML of a string.

const SVG = 'http://www.w3.org/2000/svg'
const PROPERTIES = new Set(['value', 'checked', 'selected', 'indeterminate'])

/** A node to be: `props` are attributes, `on…` handlers, `style` (an object), `key`, and `hook` (mount, update, unmount). */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, key: props?.key, children: flat(children, []), el: null }
}

function flat(children, into) {
  for (const child of children) {
    if (Array.isArray(child)) flat(child, into)
    else if (child === null || child === undefined || child === false || child === true) continue
    else if (typeof child === 'object') into.push(child)
    else into.push({ tag: null, text: String(child), el: null })
  }
  return into
}

const drawn = new WeakMap()
let mounting = []

/** Makes the children of `root` what `nodes` say. */
export function patch(root, nodes) {
  const after = flat([nodes], [])
  const before = drawn.get(root)
  if (!before) root.replaceChildren()
  patchChildren(root, before ?? [], after, root.namespaceURI === SVG)
  drawn.set(root, after)
  // Only now is everything in the document, where a hook can measure it.
  const mounted = mounting
  mounting = []
  for (const node of mounted) node.props.hook.mount(node.el, node.props)
}

function patchChildren(parent, before, after, svg) {
  const found = match(before, after)
  for (const old of before) if (old.el && !old.kept) remove(old)
  after.forEach((node, index) => {
    const old = found[index]
    if (old) update(old, node, svg)
    else create(node, svg)
    const there = parent.childNodes[index] ?? null
    if (there !== node.el) parent.insertBefore(node.el, there)
    if (!old && node.props?.hook?.mount) mounting.push(node)
  })
}

/** Which old node each new one continues: by key, else by its place among those without one. */
function match(before, after) {
  const keyed = new Map()
  const others = []
  for (const old of before) {
    old.kept = false
    if (old.key !== undefined) keyed.set(old.key, old)
    else others.push(old)
  }
  let next = 0
  return after.map((node) => {
    let old
    if (node.key !== undefined) {
      old = keyed.get(node.key)
    } else {
      while (next < others.length && others[next].tag !== node.tag) next += 1
      old = others[next]
      next += 1
    }
    if (!old || old.tag !== node.tag || old.kept) return null
    old.kept = true
    return old
  })
}

function remove(node) {
  unmount(node)
  node.el.remove()
}

function unmount(node) {
  node.props?.hook?.unmount?.(node.el)
  for (const child of node.children ?? []) unmount(child)
}

function create(node, svg) {
  if (node.tag === null) {
    node.el = document.createTextNode(node.text)
    return
  }
  const inSvg = svg || node.tag === 'svg'
  node.el = inSvg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag)
  for (const name in node.props) set(node.el, name, undefined, node.props[name])
  patchChildren(node.el, [], node.children, inSvg)
  // A select knows its value only once it has its options.
  if (node.tag === 'select' && node.props.value !== undefined) node.el.value = node.props.value
}

function update(old, node, svg) {
  node.el = old.el
  if (node.tag === null) {
    if (old.text !== node.text) node.el.data = node.text
    return
  }
  for (const name in old.props) if (!(name in node.props)) set(node.el, name, old.props[name], undefined)
  for (const name in node.props) {
    const value = node.props[name]
    if (old.props[name] !== value || PROPERTIES.has(name)) set(node.el, name, old.props[name], value)
  }
  patchChildren(node.el, old.children, node.children, svg || node.tag === 'svg')
  node.props.hook?.update?.(node.el, node.props)
}

function set(el, name, before, value) {
  if (name === 'key' || name === 'hook' || name === 'data') return
  if (name === 'style') return style(el, before ?? {}, value ?? {})
  if (name.startsWith('on')) {
    el[name] = value ?? null
  } else if (PROPERTIES.has(name)) {
    if (el[name] !== value) el[name] = value ?? ''
  } else if (value === undefined || value === null || value === false) {
    el.removeAttribute(name)
  } else {
    el.setAttribute(name, value === true ? '' : value)
  }
}

function style(el, before, value) {
  for (const name in before) if (!(name in value)) el.style.removeProperty(name)
  for (const name in value) if (before[name] !== value[name]) el.style.setProperty(name, value[name])
}

/** Class names: strings, and those of `{ name: condition }` whose condition holds. */
export function names(...parts) {
  return parts
    .flatMap((part) => (part && typeof part === 'object' ? Object.keys(part).filter((name) => part[name]) : part || []))
    .join(' ')
}
