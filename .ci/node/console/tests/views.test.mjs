// Every view, light and dark, on a desk and on a phone: drawn without an error, nothing beside the screen, axe finds nothing.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, afterEach, before, test } from 'node:test'
import { launch, open, settled, SIZES, VIEWS } from '../browser.mjs'
import { mock } from '../mock/server.mjs'

let browser
let ward
let axe
before(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  browser = await launch()
  ward = await mock()
})
const closing = []
/** Another ward, and a page before it, that end with their test however it ends. */
async function begin(options, look) {
  const other = await mock(options)
  closing.push(() => other.close())
  const tab = await open(browser, other.url, look)
  closing.push(tab.close)
  return { other, ...tab }
}
afterEach(async () => { while (closing.length) await closing.pop()() })
after(async () => {
  await browser?.close()
  await ward?.close()
})

/** What axe finds, in lines. */
async function found(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  return violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target} ${node.failureSummary}`))
}

for (const size of Object.keys(SIZES)) {
  for (const theme of ['light', 'dark']) {
    test(`every view on a ${size}, ${theme}`, async () => {
      const { page, problems, close } = await open(browser, ward.url, { size, theme })
      for (const [name, hash] of Object.entries(VIEWS)) {
        await page.evaluate((to) => { location.hash = to }, hash)
        await settled(page)
        assert.equal(await page.locator('h1').count(), 1, name)
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector('[data-scroller]').scrollWidth > document.querySelector('[data-scroller]').clientWidth), false, `${name}: something is beside the screen`)
        assert.deepEqual(await found(page), [], `${name}: axe`)
      }
      assert.deepEqual(problems, [])
      await close()
    })
  }
}

test('states without data, refused and broken say what to do', async () => {
  const { page, problems, other: empty } = await begin({ empty: true })
  for (const [name, hash] of Object.entries(VIEWS)) {
    if (name === 'device') continue
    await page.evaluate((to) => { location.hash = to }, hash)
    await settled(page)
    if (!['lake', 'settings'].includes(name)) assert.ok(await page.locator('main .state').count(), `${name} says that it is empty`)
    assert.deepEqual(await found(page), [], `${name}: axe`)
  }
  await page.evaluate(() => { location.hash = '#/devices/nowhere/nobody' })
  await page.getByText('Not there').waitFor()
  assert.deepEqual(problems.filter((problem) => !problem.includes('404')), [])
  empty.state.broken = true
  await page.evaluate(() => { location.hash = '#/lake' })
  await page.getByText('ingest is starting').first().waitFor()
  assert.deepEqual(await found(page), [], 'broken: axe')
  await page.getByRole('button', { name: 'Try again' }).first().click()
  empty.state.broken = false
  await page.getByRole('heading', { name: 'Tables' }).waitFor()
})

test('dialogs and the login are without findings, too', async () => {
  const { page, close } = await open(browser, ward.url)
  await settled(page)
  await page.keyboard.press('?')
  await page.getByRole('dialog').waitFor()
  assert.deepEqual(await found(page), [])
  await close()
  const locked = await begin({ password: 'tide' }, { theme: 'dark', size: 'phone' })
  await locked.page.getByLabel('Name').waitFor()
  assert.deepEqual(await found(locked.page), [])
})

test('a setting is found by a part of its name, and secrets are stars', async () => {
  const { page, close } = await open(browser, ward.url + '#/settings')
  await settled(page)
  assert.match(await page.locator('main').textContent(), /\*\*\*/)
  await page.getByRole('searchbox').fill('publish_rate')
  await page.waitForFunction(() => document.querySelectorAll('main table tbody tr').length === 1)
  assert.match(await page.locator('main table').textContent(), /limits\.publish_rate_maxnot set/)
  await close()
})
