// Drawing at most once a frame, however often somebody asks for it; and the longest of what that took.

/** Returns a function that has `draw` called in the next frame. */
export function frames(draw) {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    requestAnimationFrame(() => {
      asked = false
      draw()
    })
  }
}

/** Returns `act`, called at most every `ms`, the last call never lost. */
export function atMost(ms, act) {
  let last = -Infinity
  let timer = null
  const run = () => {
    timer = null
    last = performance.now()
    act()
  }
  const ask = () => {
    if (timer !== null) return
    timer = setTimeout(run, Math.max(0, last + ms - performance.now()))
  }
  ask.cancel = () => clearTimeout(timer)
  return ask
}
