// What people do with it, and what happens meanwhile: keys only, live news, alerts, dead letters, roles, logins, broken streams.

import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { launch, open, settled } from '../browser.mjs'
import { mock } from '../mock/server.mjs'

let browser
let closing = []
before(async () => { browser = await launch() })
after(() => browser?.close())
beforeEach(() => { closing = [] })
afterEach(async () => { for (const close of closing.reverse()) await close() })

async function begin(options = {}, hash = '', look = {}) {
  const ward = await mock(options)
  const tab = await open(browser, ward.url + hash, look)
  closing.push(() => ward.close(), tab.close)
  return { ward, ...tab }
}

const focused = (page) => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)

test('keys alone lead everywhere', async () => {
  const { page, problems } = await begin()
  await settled(page)
  await page.keyboard.press('Tab')
  assert.match(await focused(page), /Skip to the content/)
  await page.keyboard.press('Enter')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main')
  for (const [keys, title] of [['gd', 'Devices'], ['gs', 'Sources'], ['gc', 'Connections'], ['gt', 'Topics'], ['gx', 'Dead letters'], ['gl', 'Lake'], ['ge', 'Settings'], ['ga', 'Alerts']]) {
    for (const key of keys) await page.keyboard.press(key)
    await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor()
    await settled(page)
    await page.waitForFunction((wanted) => document.activeElement.textContent === wanted, title)
  }
  // Rows: down to the second one, open it, and back.
  for (const key of 'gd') await page.keyboard.press(key)
  await settled(page)
  await page.keyboard.press('/')
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search')
  await page.keyboard.type('fridge')
  await page.waitForFunction(() => document.querySelectorAll('[role=grid] [role=row]').length === 3)
  for (let n = 0; n < 8 && (await page.evaluate(() => document.activeElement.getAttribute('role'))) !== 'row'; n += 1) await page.keyboard.press('Tab')
  await page.keyboard.press('ArrowDown')
  await page.waitForFunction(() => document.activeElement.getAttribute('aria-rowindex') === '3')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'fridge-002' }).waitFor()
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  assert.deepEqual(problems, [])
})

test('every element that has the focus shows it', async () => {
  const { page } = await begin({}, '#/alerts')
  await settled(page)
  for (let n = 0; n < 30; n += 1) {
    await page.keyboard.press('Tab')
    const shown = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement)
      return document.activeElement === document.body || style.outlineStyle !== 'none' || style.boxShadow !== 'none'
    })
    assert.ok(shown, await focused(page))
  }
})

test('news are on the page as they come, and are said', async () => {
  const { page, ward } = await begin({ calm: true })
  await settled(page)
  await page.getByText('All is well').waitFor()
  ward.fire({ device: 'monitor-001', rule: 'hypoxia' })
  await page.getByText('Hypoxia').first().waitFor({ timeout: 60_000 })
  assert.match(await page.locator('#alarmed').textContent(), /critical alert: hypoxia on monitor-001, ward-3/)
  assert.match(await page.title(), /^\(1\)/)
  await page.evaluate(() => { location.hash = '#/devices/ward-3/monitor-002' })
  const value = page.locator('.metric-value').first()
  await value.waitFor()
  const heard = await page.locator('.facts time').first().getAttribute('datetime')
  await page.waitForFunction((before) => document.querySelector('.facts time').getAttribute('datetime') > before, heard, { timeout: 60_000 })
})

test('a device that was never heard of is there within a second', async () => {
  const { page, ward } = await begin({ calm: true }, '#/devices')
  await settled(page)
  const [pattern] = ward.world.devices
  ward.world.devices.push({ ...pattern, site: 'zoo', device: 'scale-1', heard: Date.now(), counts: new Map() })
  const begun = Date.now()
  ward.send('heard', { devices: [{ site: 'zoo', device: 'scale-1' }] })
  await page.getByText('scale-1').waitFor({ timeout: 60_000 })
  const took = Date.now() - begun
  assert.ok(took < 2500, `${took} ms`)
})

test('an alert is acknowledged by its button, silenced by its key', async () => {
  const { page, ward, problems } = await begin({}, '#/alerts')
  await settled(page)
  await page.getByRole('button', { name: 'Acknowledge fridge warm on fridge-001' }).click()
  await page.getByText('Acknowledged: fridge warm on fridge-001').first().waitFor()
  await page.waitForFunction(() => [...document.querySelectorAll('[role=row]')].some((row) => /Fridge warm|fridge warm/.test(row.textContent) && /acknowledged/.test(row.textContent)))
  assert.equal(ward.world.alerts.find((alert) => alert.rule === 'fridge-warm').state, 'acknowledged')
  const row = page.getByRole('row').filter({ hasText: 'NEWS2 urgent' })
  await row.focus()
  await page.keyboard.press('s')
  await page.getByRole('button', { name: '2 hours' }).click()
  await page.getByText('Silenced for 2 hours').first().waitFor()
  assert.equal(ward.world.alerts.find((alert) => alert.rule === 'news2-urgent').state, 'silenced')
  assert.deepEqual(problems, [])
})

test('a search that was left changes nothing', async () => {
  const { page } = await begin({}, '#/devices')
  await settled(page)
  await page.getByRole('searchbox').fill('pump')
  await page.evaluate(() => { location.hash = '#/devices/ward-3/monitor-001' })
  await page.locator('.metric-value').first().waitFor()
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.equal(await page.evaluate(() => location.hash), '#/devices/ward-3/monitor-001')
})

test('going elsewhere by keys acknowledges nothing', async () => {
  const { page, ward } = await begin({}, '#/alerts')
  await settled(page)
  await page.getByRole('row').nth(1).focus()
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await page.keyboard.press('g')
  await page.keyboard.press('o')
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  assert.ok(!ward.state.requests.some((request) => request.startsWith('POST')))
})

test('dead letters are replayed, and what came of it is said', async () => {
  const { page, ward, problems } = await begin({}, '#/dead-letters')
  await settled(page)
  await page.getByRole('link', { name: /CBOR syntax/ }).click()
  await page.getByText('A rule that would take them').waitFor()
  await page.getByText('a2 61 74 18').waitFor()
  await page.getByRole('button', { name: 'Replay these' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click()
  await page.getByText('128 of 128 messages landed').first().waitFor()
  await page.getByText('No sample').waitFor()
  assert.ok(ward.world.deadLetters.every((one) => one.reason !== 'cbor_syntax'))
  assert.deepEqual(problems, [])
})

test('a role that may not sees what it may, and is told why not more', async () => {
  const { page, ward } = await begin({ role: 'analyst' }, '#/dead-letters?reason=json_truncated')
  await page.getByText('Payloads are not for your role').waitFor()
  assert.equal(await page.getByRole('button', { name: /Replay/ }).count(), 0)
  await page.evaluate(() => { location.hash = '#/connections' })
  await page.getByText('Not for your role').waitFor()
  await page.evaluate(() => { location.hash = '#/alerts' })
  await page.getByText('may look, not acknowledge').waitFor()
  assert.ok(!ward.state.requests.some((request) => request.includes('samples')))
})

test('name and password are asked for, and kept in memory only', async () => {
  const { page } = await begin({ password: 'tide' })
  await page.getByLabel('Name').fill('f.keller')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByText('do not belong together').waitFor()
  await page.getByLabel('Password').fill('tide')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]))
  assert.ok(!/tide\b|a2VsbGVy|Basic/.test(kept), kept)
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByLabel('Password').waitFor()
  await page.reload()
  await page.getByLabel('Password').waitFor()
})

test('a stream that breaks is opened again, and everything read anew', async () => {
  const { page, ward } = await begin({}, '#/alerts')
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  const read = () => ward.state.requests.filter((request) => request === 'GET /api/v1/alerts').length
  const before = read()
  ward.cut()
  await page.waitForFunction(() => !/^Live$/.test(document.querySelector('.live').textContent))
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor({ timeout: 60_000 })
  for (let n = 0; n < 600 && read() <= before; n += 1) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(read() > before)
})

test('what devices say is text, never a part of the page', async () => {
  const evil = '<img src=x onerror="globalThis.struck=1"><script>globalThis.struck=1</script>'
  const { page, ward, problems } = await begin({}, '#/devices')
  const [victim] = ward.world.devices
  victim.site = evil
  victim.device = `${evil}/../%2e`
  victim.metrics = [[evil, evil, 5, 1]]
  ward.world.deadLetters.unshift({ reason: evil, topic: evil, count: 1, last: Date.now(), samples: [evil], suggestion: evil })
  ward.fire({ rule: evil, device: victim.device, site: evil, metric: evil })
  await page.getByText('<img src=x').first().waitFor()
  await page.getByRole('row').filter({ hasText: '<img' }).first().click()
  await page.locator('h1', { hasText: '<img' }).waitFor()
  await settled(page)
  for (const hash of ['#/overview', '#/alerts', '#/topics', '#/connections', `#/dead-letters?reason=${encodeURIComponent(evil)}`]) {
    await page.evaluate((to) => { location.hash = to }, hash)
    await settled(page)
    await page.getByText('<img src=x').first().waitFor()
  }
  assert.equal(await page.evaluate(() => globalThis.struck), undefined)
  assert.equal(await page.locator('img, main script').count(), 0)
  assert.deepEqual(problems, [])
})

test('colours are chosen, and stay chosen', async () => {
  const { page } = await begin({}, '', { theme: 'dark' })
  await settled(page)
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const dark = await ground()
  await page.keyboard.press('t')
  assert.notEqual(await ground(), dark)
  await page.reload()
  await settled(page)
  assert.notEqual(await ground(), dark)
})

test('a chart is read by keys', async () => {
  const { page } = await begin({}, '#/devices/ward-3/monitor-001?metric=heart_rate')
  const chart = page.locator('.chart-room')
  await chart.waitFor()
  assert.match(await chart.getAttribute('aria-label'), /heart rate: \d+ values, lowest \d+.*highest \d+.*last/)
  await chart.focus()
  await page.keyboard.press('ArrowLeft')
  await page.waitForFunction(() => /heart rate \d+/.test(document.getElementById('said').textContent))
})
