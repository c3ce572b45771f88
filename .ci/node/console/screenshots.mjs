// Screenshots for docs/console.md, of the made-up ward or, with an address, of a running Tidemark: `screenshots.mjs FOLDER [URL]`.

import { mkdir } from 'node:fs/promises'
import { launch, open, settled, VIEWS } from './browser.mjs'
import { mock } from './mock/server.mjs'

const [folder, url] = process.argv.slice(2)
// Which device, where it is not the made-up ward: `#/devices/demo-ward/monitor-015?metric=spo2`.
const views = { ...VIEWS, ...(process.env.DEVICE && { device: process.env.DEVICE }) }
await mkdir(folder, { recursive: true })
const ward = url ? null : await mock()
const browser = await launch()
const tabs = await Promise.all(
  [['desktop', 'light'], ['desktop', 'dark'], ['phone', 'light'], ['phone', 'dark']].map(async ([size, theme]) => ({ size, theme, ...(await open(browser, url ?? ward.url, { size, theme })) })),
)
// Lines of the overview need a while to be lines.
await new Promise((resolve) => setTimeout(resolve, Number(process.env.SECONDS_BEFORE ?? 45) * 1000))
for (const { page, size, theme, problems } of tabs) {
  for (const [name, hash] of Object.entries(views)) {
    if (size === 'phone' && !['overview', 'alerts', 'devices', 'device'].includes(name)) continue
    await page.evaluate((to) => { location.hash = to }, hash)
    await settled(page)
    // Lines beside devices are asked for once the list rests.
    await new Promise((resolve) => setTimeout(resolve, name === 'devices' ? 2500 : 800))
    await page.screenshot({ path: `${folder}/console-${name}${size === 'phone' ? '-phone' : ''}-${theme}.png` })
  }
  if (problems.length) console.log(size, theme, problems)
}
await browser.close()
await ward?.close()
