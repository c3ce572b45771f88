// Charts of uPlot, in the page's colours, that can be read with keys and as text.

import { h, patch } from './dom.js'
import { clock, value } from './format.js'
import { say } from './say.js'
import { colour, onChange } from './theme.js'

// Seconds between marks of time: never a part of one.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800]
const FONT = '12px Inter, system-ui, sans-serif'

/** What a line does, in a sentence: for those who do not see it. Pure. */
export function summary(label, unit, values) {
  const known = values.filter((one) => one !== null && one !== undefined)
  if (known.length === 0) return `${label}: no values`
  const low = known.reduce((a, b) => Math.min(a, b))
  const high = known.reduce((a, b) => Math.max(a, b))
  const with_ = (n) => `${value(n)}${unit ? ` ${unit}` : ''}`
  return `${label}: ${known.length} values, lowest ${with_(low)}, highest ${with_(high)}, last ${with_(known.at(-1))}`
}

function axis() {
  return { stroke: colour('text-3'), font: FONT, grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, gap: 8 }
}

function fill(u, name) {
  const ink = colour(name)
  // The legend asks before there is a place to draw in.
  if (!Number.isFinite(u.bbox.top) || !u.bbox.height) return ink
  const paint = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height)
  paint.addColorStop(0, `${ink}40`)
  paint.addColorStop(1, `${ink}04`)
  return paint
}

function seriesOf({ label, ink, points, area }, dense) {
  const line = { label }
  if (points) return { ...line, stroke: null, paths: () => null, points: { show: true, size: 7, fill: colour(ink), stroke: colour('surface') } }
  return {
    ...line,
    stroke: colour(ink),
    width: 1.75,
    fill: area ? (u) => fill(u, ink) : undefined,
    points: { show: (u) => !dense && u.data[0].length < 40, size: 5, fill: colour(ink), stroke: colour(ink) },
  }
}

function optionsOf(chart, width) {
  return {
    width,
    height: chart.height,
    padding: [12, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 8 }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: chart.range ?? undefined }, y: { range: (_, low, high) => around(low, high, chart.fromZero) } },
    axes: [
      { ...axis(), grid: { show: false }, size: 30, space: 70, incrs: STEPS, values: (_, ticks) => ticks.map((tick) => shortClock(tick, chart.days)) },
      { ...axis(), size: 48, space: 36, values: (_, ticks) => ticks.map((tick) => value(tick)) },
    ],
    series: [{}, ...chart.series.map((one) => seriesOf(one, chart.fromZero))],
    hooks: { draw: [(u) => drawLimits(u, chart.limits ?? [])], setCursor: [(u) => showTip(u, chart.series)] },
  }
}

/** The values at the cursor, beside it. */
function showTip(u, series) {
  const tip = u.over.querySelector('.chart-tip')
  if (!tip) return
  const { idx, left } = u.cursor
  tip.hidden = idx === null || idx === undefined || left < 0
  if (tip.hidden) return
  const known = series.map((one, n) => ({ one, at: u.data[n + 1][idx] })).filter(({ at }) => at !== null && at !== undefined)
  patch(tip, [h('span', { class: 'quiet' }, clock(u.data[0][idx] * 1000, Date.now())), ...known.map(({ one, at }) => h('strong', null, one.points ? one.label : `${one.label} ${value(at)} ${one.unit ?? ''}`))])
  const right = left + tip.offsetWidth + 24 > u.over.clientWidth
  tip.style.setProperty('transform', `translateX(${right ? left - tip.offsetWidth - 12 : left + 12}px)`)
}

/** Limits that are not flat against the frame. */
function around(low, high, fromZero) {
  if (low === null || high === null) return [0, 1]
  const room = high === low ? Math.max(Math.abs(high) * 0.1, 1) : (high - low) * 0.12
  return [fromZero ? 0 : low - room, high + room]
}

function shortClock(at, days) {
  const date = new Date(at * 1000)
  const two = (n) => String(n).padStart(2, '0')
  const hours = `${two(date.getHours())}:${two(date.getMinutes())}`
  if (days) return `${two(date.getMonth() + 1)}-${two(date.getDate())} ${hours}`
  return date.getSeconds() ? `${hours}:${two(date.getSeconds())}` : hours
}

function drawLimits(u, limits) {
  for (const limit of limits) {
    const y = Math.round(u.valToPos(limit, 'y', true))
    if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) continue
    u.ctx.save()
    u.ctx.strokeStyle = colour('critical')
    u.ctx.lineWidth = devicePixelRatio
    u.ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio])
    u.ctx.beginPath()
    u.ctx.moveTo(u.bbox.left, y)
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y)
    u.ctx.stroke()
    u.ctx.restore()
  }
}

/** One drawn chart and what keeps it right: size, colours, data. */
class Drawn {
  constructor(el, chart) {
    this.el = el
    this.chart = chart
    this.build()
    this.sizes = new ResizeObserver(() => this.fit())
    this.sizes.observe(el)
    this.forget = onChange(() => requestAnimationFrame(() => this.build()))
  }

  build() {
    this.plot?.destroy()
    this.plot = new globalThis.uPlot(optionsOf(this.chart, this.el.clientWidth || 600), this.chart.data, this.el)
    const tip = document.createElement('div')
    tip.className = 'chart-tip'
    tip.hidden = true
    this.plot.over.append(tip)
    // It says what it is through its figure.
    this.plot.root.setAttribute('aria-hidden', 'true')
  }

  fit() {
    const width = this.el.clientWidth
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.chart.height })
  }

  update(chart) {
    const before = this.chart
    this.chart = chart
    if (before.id !== chart.id) return this.build()
    if (before.data === chart.data && String(before.range) === String(chart.range)) return
    if (chart.range) this.plot.scales.x.range = () => chart.range
    this.plot.setData(chart.data)
  }

  /** Keys walk along the values and have them said. */
  key(event) {
    const times = this.chart.data[0]
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }
    if (!(event.key in steps) || times.length === 0) return
    event.preventDefault()
    const here = this.plot.cursor.idx ?? times.length
    const to = Math.max(0, Math.min(times.length - 1, here + steps[event.key]))
    this.plot.setCursor({ left: this.plot.valToPos(times[to], 'x'), top: 10 })
    const texts = this.chart.series.map((one, n) => `${one.label} ${value(this.chart.data[n + 1][to])} ${one.unit ?? ''}`)
    say(`${clock(times[to] * 1000, Date.now())}: ${texts.join(', ')}`)
  }

  close() {
    this.sizes.disconnect()
    this.forget()
    this.plot.destroy()
  }
}

const drawn = new WeakMap()
const hook = {
  mount: (el, props) => drawn.set(el, new Drawn(el, props.data)),
  update: (el, props) => drawn.get(el)?.update(props.data),
  unmount: (el) => drawn.get(el)?.close(),
}

/**
 * A chart. `id` changes when it is another one; `data` is uPlot's (times in seconds first); `series`: `{ label, unit, ink, area,
 * points }`; `range`: first and last time; `limits`: values with a line across.
 */
export function chart(one) {
  const unit = one.series[0].unit
  const text = one.series.filter((series) => !series.points).map((series) => summary(series.label, series.unit ?? unit, one.data[one.series.indexOf(series) + 1])).join('. ')
  return h('figure', { class: 'chart' }, [
    h('div', {
      class: 'chart-room', role: 'img', tabindex: 0, 'aria-label': `${text}. Arrow keys read the values.`, style: { 'min-height': `${one.height}px` },
      data: one, hook, onkeydown: (event) => drawn.get(event.currentTarget)?.key(event),
    }),
    h('figcaption', { class: 'unseen' }, text),
  ])
}

/** Which line is which. */
export function chartKeys(series) {
  return h('ul', { class: 'chart-keys' }, series.map((one) => h('li', { key: one.label }, [h('span', { class: `dot key-${one.ink}`, 'aria-hidden': 'true' }), one.label])))
}
