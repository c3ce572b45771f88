// The steps of alerts' lives, read from the lake: a step is told when it is made, and is a row once its batch has landed.

import { Pages } from './pages.js'

/** Landings after which a step that was told is in the lake: one may be on its way without it. */
const LANDINGS = 2

export class Steps extends Pages {
  // What was told before anybody looked here may not have landed either.
  #landings = LANDINGS

  /** An event came. */
  heard(name) {
    if (name === 'alert') this.#landings = LANDINGS
    if (name === 'missed') this.changed()
    if (name !== 'landed' || this.#landings === 0) return
    this.#landings -= 1
    this.changed()
  }
}
