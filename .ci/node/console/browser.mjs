// Debian's Chromium, without a head, as the tests and the screenshots use it.

import { chromium } from 'playwright-core'

export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } }

/** Every view, and where it is; the device is one of the made-up ward. */
export const VIEWS = {
  overview: '#/overview',
  alerts: '#/alerts',
  devices: '#/devices',
  device: '#/devices/ward-3/monitor-002?metric=heart_rate',
  sources: '#/sources',
  connections: '#/connections',
  topics: '#/topics',
  'dead-letters': '#/dead-letters?reason=cbor_syntax',
  lake: '#/lake',
  settings: '#/settings',
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/lib/chromium/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--font-render-hinting=none', '--hide-scrollbars', '--disable-lcd-text'],
  })
}

/** A page at `url`, whose errors and refused requests are gathered in `problems`. */
export async function open(browser, url, { size = 'desktop', theme = 'light', motion = 'reduce' } = {}) {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme, reducedMotion: motion, deviceScaleFactor: 1, hasTouch: size === 'phone', timezoneId: 'UTC', locale: 'en-GB' })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  const problems = []
  page.on('pageerror', (error) => problems.push(`error: ${error.stack ?? error.message}`))
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`) })
  page.on('requestfailed', (request) => { if (request.failure()?.errorText !== 'net::ERR_ABORTED') problems.push(`${request.url()}: ${request.failure()?.errorText}`) })
  await page.goto(url)
  return { page, context, problems, close: () => context.close() }
}

/** Waits until the view is drawn with what it reads. */
export async function settled(page) {
  // An address that has just changed is drawn in the frame after the next.
  await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))) }))
  await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('main .skeleton') && document.fonts.status === 'loaded')
}
