// Light, dark, or as the system has it. `theme-first.js` has set it before the first paint.

const KEY = 'tidemark-theme'
const ORDER = ['system', 'light', 'dark']
const system = matchMedia('(prefers-color-scheme: dark)')
const root = document.documentElement
const listeners = new Set()

/** `system`, `light` or `dark`. */
export function chosen() {
  return root.dataset.chosen ?? 'system'
}

/** Takes the next of the three and returns it. */
export function next() {
  const theme = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length]
  root.dataset.chosen = theme
  try {
    if (theme === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    // It holds for this page.
  }
  apply()
  return theme
}

/** Calls `listener` when colours change: what is drawn on a canvas must be drawn again. */
export function onChange(listener) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function apply() {
  const theme = chosen() === 'system' ? (system.matches ? 'dark' : 'light') : chosen()
  if (root.dataset.theme === theme) return
  root.dataset.theme = theme
  for (const listener of listeners) listener()
}

system.addEventListener('change', apply)

/** The colour that a custom property has now. */
export function colour(name) {
  return getComputedStyle(root).getPropertyValue(`--${name}`).trim()
}
