// Icons: strokes on a grid of 24, drawn in the colour of the text. They say nothing that words beside them do not.

import { h } from './dom.js'

const PATHS = {
  overview: 'M3 13h7V3H3zM14 21h7V11h-7zM14 3v4h7V3zM3 17v4h7v-4z',
  devices: 'M3 12h4l2.500-7 5 14L17 12h4',
  alerts: 'M6 9a6 6 0 1 1 12 0c0 6 2.500 7 2.500 8h-17C3.500 16 6 15 6 9M10 20.500a2.200 2.200 0 0 0 4 0',
  sources: 'M4 4h16v6H4zM4 14h16v6H4zM8 7h.010M8 17h.010M12 7h4M12 17h4',
  connections: 'M9 3v5M15 3v5M6 8h12v4a6 6 0 0 1-12 0zM12 18v3',
  topics: 'M4 9h16M4 15h16M10 4 8 20M16 4l-2 16',
  'dead-letters': 'M3 6h18v12H3zM3 7l9 7 9-7M15.500 14.500l3 3M18.500 14.500l-3 3',
  lake: 'M4 6c0-1.700 3.600-3 8-3s8 1.300 8 3-3.600 3-8 3-8-1.300-8-3M4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3',
  settings: 'M4 6h9M19 6h1M4 12h1M11 12h9M4 18h7M17 18h3M16 3.500v5M8 9.500v5M14 15.500v5',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14M16 16l5 5',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500',
  system: 'M3 4h18v12H3zM8 20h8M12 16v4',
  keyboard: 'M2.500 6h19v12h-19zM6.500 10h.010M10 10h.010M14 10h.010M17.500 10h.010M8 14h8',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  close: 'M6 6l12 12M18 6 6 18',
  critical: 'M8 2.500h8L21.500 8v8L16 21.500H8L2.500 16V8zM12 7.500v5.500M12 16.500h.010',
  warning: 'M12 3.500 22 20H2zM12 10v4.500M12 17.300h.010',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 11v5.500M12 7.600h.010',
  copy: 'M9 9h12v12H9zM5 15H3V3h12v2',
  right: 'M9 5l7 7-7 7',
  back: 'M15 5l-7 7 7 7',
  silence: 'M18 12.500V9A6 6 0 0 0 7.600 4.900M6 8.500C6 15 3.500 16 3.500 17H17M10 20.500a2.200 2.200 0 0 0 4 0M3 3l18 18',
  replay: 'M4 12a8 8 0 1 1 2.500 5.800M4 19v-5h5',
  leave: 'M14 4h6v16h-6M10 8l-4 4 4 4M6 12h9',
  tool: 'M14.500 6a4.500 4.500 0 0 1 5.900-1.300l-3 3 1.900 1.900 3-3A4.500 4.500 0 0 1 16 12L7.500 20.500a2.100 2.100 0 0 1-3-3L13 9a4.500 4.500 0 0 1 1.500-3',
  more: 'M5 12h.010M12 12h.010M19 12h.010',
  lock: 'M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4',
  offline: 'M3 3l18 18M8.500 8.500A10 10 0 0 0 3 12M12 6a12 12 0 0 1 9 4M9.500 15.500a4.500 4.500 0 0 1 5 0M12 19.500h.010',
  empty: 'M4 13h5l1.500 3h3L15 13h5M4 13 7 4h10l3 9v7H4z',
}

/** An icon of `size` pixels, hidden from screen readers. */
export function icon(name, size = 16) {
  return h('svg', { class: 'icon', viewBox: '0 0 24 24', width: size, height: size, 'aria-hidden': 'true', focusable: 'false' }, h('path', { d: PATHS[name] }))
}

/** Tidemark's sign. */
export function mark() {
  return h('svg', { class: 'mark', viewBox: '0 0 32 32', width: 26, height: 26, 'aria-hidden': 'true' }, [
    h('rect', { width: 32, height: 32, rx: 8, class: 'mark-ground' }),
    h('path', { d: 'M5 12c3.700-4 7.300-4 11 0s7.300 4 11 0', class: 'mark-wave' }),
    h('path', { d: 'M5 21c3.700-4 7.300-4 11 0s7.300 4 11 0', class: 'mark-under' }),
  ])
}
