// The lake: its tables, how fresh they are, which hours are complete, what landed last.

import { h } from '../dom.js'
import { bytes, clock, count, plural, short, span } from '../format.js'
import { panel, table, tile, when } from '../parts.js'
import { show, state } from '../states.js'

const HOURS = 24
const SITES_MAX = 30
const HOUR_MS = 3_600_000

export function lake(ctx) {
  const tables = ctx.resource((signal) => ctx.api.get('/tables', {}, signal), { on: ['landed'], atMostMs: 5000 })
  const landings = ctx.resource((signal) => ctx.api.get('/landings', { limit: 25 }, signal), { on: ['landed'], atMostMs: 2000 })
  return {
    draw: () => ({
      title: 'Lake',
      body: [
        show(tables, (value) => [tiles(ctx, value), panel({ title: 'Tables', look: 'panel-table' }, tableList(ctx, value)), panel({ title: 'Complete hours', note: 'every source of the site has passed their end' }, sealed(ctx, value))], { lines: 8 }),
        panel({ title: 'Last landings', look: 'panel-table' }, show(landings, (value) => landingList(ctx, value), { lines: 5 })),
      ],
    }),
  }
}

function tiles(ctx, { tables, last_compaction }) {
  const sum = (what) => tables.reduce((all, one) => all + (one[what] ?? 0), 0)
  const newest = tables.map((one) => one.newest).filter(Boolean).sort().at(-1)
  const age = newest ? (ctx.now() - Date.parse(newest)) / 1000 : null
  return h('div', { class: 'tiles' }, [
    tile({ label: 'Rows', number: short(sum('rows')), about: plural(tables.length, 'table') }),
    tile({ label: 'Size', number: bytes(sum('bytes')), about: `${plural(sum('files'), 'file')}` }),
    tile({ label: 'Freshness', number: span(age), kind: age > 300 ? 'warning' : '', about: 'since the newest row' }),
    last_compaction === undefined ? null : tile({ label: 'Last compaction', number: last_compaction ? span((ctx.now() - Date.parse(last_compaction)) / 1000) : 'none', about: last_compaction ? 'ago' : 'nothing needed it yet' }),
  ])
}

function tableList(ctx, { tables }) {
  return table({
    label: 'Tables of the lake', key: (one) => one.name, rows: tables,
    columns: [
      { label: 'Table', cell: (one) => h('div', { class: 'two-lines' }, [h('code', { class: 'name' }, one.name), h('span', { class: 'quiet wrap' }, prose(one.about ?? ''))]) },
      { label: 'Rows', class: 'number', cell: (one) => count(one.rows) },
      { label: 'Files', class: 'number', cell: (one) => count(one.files) },
      { label: 'Size', class: 'number', cell: (one) => bytes(one.bytes) },
      { label: 'Version', class: 'number', cell: (one) => count(one.version) },
      { label: 'Newest row', class: 'number', cell: (one) => when(one.newest, ctx.now()) },
    ],
  })
}

/** Text whose `names` are names. */
function prose(text) {
  return text.split('`').map((part, n) => (n % 2 ? h('code', null, part) : part))
}

/** How far each site is complete: an hour is sealed only after those before it. */
function sealed(ctx, { sealed: hours }) {
  if (!hours?.length) return state({ title: 'No hour is sealed yet', text: 'An hour is sealed a moment after its end, once every source of its site has said that it passed it.' })
  const last = new Map()
  for (const { site, hour } of hours) last.set(site, Math.max(last.get(site) ?? 0, Math.floor(Date.parse(hour) / HOUR_MS)))
  const now = Math.floor(ctx.now() / HOUR_MS)
  const shown = Array.from({ length: HOURS }, (_, n) => now - HOURS + 1 + n)
  return h('ul', { class: 'sealed' }, [...last].sort().slice(0, SITES_MAX).map(([site, hour]) => {
    const until = clock((hour + 1) * HOUR_MS, ctx.now()).slice(0, -3)
    const behind = now - 1 - hour
    return h('li', { key: site }, [
      h('span', { class: 'sealed-site' }, site),
      h('span', { class: 'sealed-hours', role: 'img', 'aria-label': `${site}: complete until ${until}${behind > 0 ? `, ${plural(behind, 'hour')} behind` : ''}` }, shown.map((one) => {
        const what = one === now ? 'now' : one <= hour ? 'sealed' : 'open'
        return h('span', { class: `hour hour-${what}`, title: `${clock(one * HOUR_MS, ctx.now()).slice(0, -3)}: ${{ now: 'going on', sealed: 'sealed', open: 'a source has not passed its end' }[what]}` })
      })),
      h('span', { class: behind > 0 ? 'sealed-late' : 'quiet' }, `until ${until}`),
    ])
  }))
}

function landingList(ctx, { landings }) {
  if (landings.length === 0) return state({ title: 'Nothing has landed yet', text: 'A landing is one flush of ingest: it comes within seconds after the first message.' })
  return table({
    label: 'Landings, the newest first', key: (one) => `${one.landing} ${one.source} ${one.epoch}`, rows: landings,
    columns: [
      { label: 'Landed', cell: (one) => when(one.landed, ctx.now()) },
      { label: 'Source', cell: (one) => one.source },
      { label: 'Offsets', class: 'number', cell: (one) => `${count(one.from)} – ${count(one.to)}` },
      { label: 'Rows', class: 'number', cell: (one) => count(one.rows) },
      { label: 'Into', cell: (one) => h('span', { class: 'row tight wrap' }, Object.entries(one.tables ?? {}).map(([name, rows]) => h('span', { class: 'chip' }, [name, ' ', h('strong', null, short(rows))]))) },
      { label: 'Worker', cell: (one) => h('code', { class: 'quiet' }, String(one.worker)) },
    ],
  })
}
