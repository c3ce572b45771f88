// A line without axes, as long as a word. The number beside it says what it is.

import { h } from './dom.js'

/** The path of `values` (null is a gap) in a box, newest at the right. Pure. */
export function sparkPath(values, width, height, slots = values.length) {
  const known = values.filter((value) => value !== null)
  if (known.length < 2) return ''
  const low = Math.min(...known)
  const high = Math.max(...known)
  const step = slots > 1 ? width / (slots - 1) : 0
  const begin = (slots - values.length) * step
  let pen = 'M'
  let path = ''
  values.forEach((value, n) => {
    if (value === null) {
      pen = 'M'
      return
    }
    const y = high === low ? height / 2 : height - 1.5 - ((value - low) / (high - low)) * (height - 3)
    path += `${pen}${(begin + n * step).toFixed(1)} ${y.toFixed(1)}`
    pen = 'L'
  })
  return path
}

/** A sparkline; with too little to draw, a faint line. */
export function spark(values, { width = 96, height = 24, slots, kind = '' } = {}) {
  const path = sparkPath(values, width, height, slots)
  return h('svg', { class: `spark ${kind}`, viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, [
    path ? h('path', { d: path }) : h('path', { d: `M0 ${height / 2}L${width} ${height / 2}`, class: 'spark-none' }),
  ])
}
