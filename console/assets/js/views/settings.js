// What this Tidemark runs with: every setting in force, secrets as stars.

import { h } from '../dom.js'
import { panel, search, table } from '../parts.js'
import { link, replace } from '../router.js'
import { show, state } from '../states.js'

export function settings(ctx) {
  let { query } = ctx.route
  const config = ctx.resource((signal) => ctx.api.get('/config', {}, signal), {})
  const ask = (q) => {
    query = { ...query, q }
    replace(link('settings', [], query))
    ctx.redraw()
  }
  return {
    routed(route) { query = route.query },
    draw: () => ({
      title: 'Settings',
      body: [
        h('p', { class: 'quiet' }, 'What is in force, with its defaults. A file of settings and variables such as TIDEMARK_GATEWAY__LISTEN change it at the next start.'),
        h('div', { class: 'toolbar' }, search({ label: 'Find a setting', value: query.q ?? '', changed: ask })),
        show(config, ({ config }) => sections(config, (query.q ?? '').trim().toLowerCase()), { lines: 8 }),
      ],
    }),
  }
}

function sections(config, wanted) {
  const found = Object.entries(config)
    .map(([name, values]) => [name, flat(values).filter(([key, value]) => !wanted || `${name}.${key} ${value}`.toLowerCase().includes(wanted))])
    .filter(([, rows]) => rows.length > 0)
  if (found.length === 0) return state({ title: 'No such setting', text: 'Settings are found by a part of their name or value.' })
  return found.map(([name, rows]) => panel({ title: name, note: h('code', null, `[${name}]`), look: 'panel-table' }, table({
    label: `Settings of ${name}`, key: ([key]) => key, rows,
    columns: [
      { label: 'Setting', cell: ([key]) => h('code', { class: 'wrap' }, key) },
      { label: 'Value', cell: ([, value]) => h('code', { class: 'wrap' }, value) },
    ],
  })))
}

/** Every value with its path, lists in one line. */
export function flat(value, path = '') {
  if (value === null || value === undefined) return [[path, 'not set']]
  if (Array.isArray(value) || typeof value !== 'object') return [[path, JSON.stringify(value)]]
  const all = Object.entries(value).flatMap(([key, inner]) => flat(inner, path ? `${path}.${key}` : key))
  return all.length > 0 ? all : path ? [[path, '{}']] : []
}
