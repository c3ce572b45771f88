// The console of a running `tidemark up` (CONSOLE_URL, its MQTT at MQTT_PORT): every view, a device of one's own, an alert from its
// firing to its row, a dead letter with its payload.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { launch, open, settled } from '../browser.mjs'

const url = process.env.CONSOLE_URL
const run = promisify(execFile)
const publish = (topic, payload) => run('mosquitto_pub', ['-p', process.env.MQTT_PORT, '-q', '1', '-t', topic, '-m', payload])
const reading = (metric, value, unit) => JSON.stringify({ ts: new Date().toISOString(), metric, value, unit })

let browser
before(async () => { browser = await launch() })
after(() => browser?.close())

async function begin(context, hash) {
  const tab = await open(browser, url + hash)
  context.after(tab.close)
  await settled(tab.page)
  return tab
}

const skip = url ? false : 'CONSOLE_URL is not set'

test('the page comes with its headers, and is asked for once', { skip }, async () => {
  const first = await fetch(url)
  assert.match(first.headers.get('content-security-policy'), /default-src 'self'/)
  assert.equal(first.headers.get('x-content-type-options'), 'nosniff')
  const again = await fetch(url, { headers: { 'if-none-match': first.headers.get('etag') } })
  assert.equal(again.status, 304)
})

test('every view reads what it shows', { skip }, async (context) => {
  const { page, problems } = await begin(context, '')
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  for (const view of ['overview', 'alerts', 'alerts?show=history', 'devices', 'sources', 'connections', 'topics', 'dead-letters', 'lake', 'settings']) {
    await page.evaluate((to) => { location.hash = `#/${to}` }, view)
    await settled(page)
    assert.equal(await page.locator('.state-bad, .stale').count(), 0, `${view}: ${await page.locator('.state-bad, .stale').allTextContents()}`)
    assert.ok(!/undefined|NaN|\[object/.test(await page.locator('main').textContent()), view)
  }
  await page.evaluate(() => { location.hash = '#/devices' })
  await page.getByRole('row').nth(1).click()
  await page.locator('.metric-value').first().waitFor()
  await settled(page)
  assert.ok(!/undefined|NaN|\[object/.test(await page.locator('main').textContent()))
  assert.deepEqual(problems, [])
})

test('a device of one\'s own is on the page at once', { skip }, async (context) => {
  const { page } = await begin(context, '#/devices')
  const begun = Date.now()
  await publish('home/livingroom/temperature', '21.5')
  await page.getByRole('searchbox').fill('livingroom')
  await page.getByRole('row').filter({ hasText: 'livingroom' }).filter({ hasText: '21.5' }).waitFor({ timeout: 60_000 })
  console.log(`a new device was on the page after ${Date.now() - begun} ms`)
  await page.evaluate(() => { location.hash = '#/devices/home/livingroom' })
  await page.locator('.metric-value', { hasText: '21.5' }).waitFor()
  await page.evaluate(() => { location.hash = '#/topics?q=livingroom' })
  await page.getByRole('row').filter({ hasText: 'home/livingroom/temperature' }).filter({ hasText: 'built in' }).waitFor()
})

test('an alert fires, is acknowledged, and its steps are in the lake', { skip }, async (context) => {
  const { page, problems } = await begin(context, '#/alerts')
  await publish('dt/ward-9/monitor-900/readings', reading('heart_rate', 171, '/min'))
  const row = page.getByRole('row').filter({ hasText: 'monitor-900' })
  await row.getByText('firing').waitFor({ timeout: 60_000 })
  await row.getByText('171 /min').waitFor()
  await row.getByRole('button', { name: /Acknowledge/ }).click()
  await row.getByText('acknowledged').waitFor({ timeout: 60_000 })
  await page.evaluate(() => { location.hash = '#/alerts?show=history' })
  const steps = page.getByRole('row').filter({ hasText: 'monitor-900' })
  await steps.filter({ hasText: 'acknowledged' }).first().waitFor({ timeout: 60_000 })
  await steps.filter({ hasText: 'firing' }).first().waitFor()
  assert.deepEqual(problems, [])
})

test('what cannot be decoded is there with its payload', { skip }, async (context) => {
  const { page, problems } = await begin(context, '#/dead-letters')
  await publish('dt/ward-9/monitor-901/readings', '{"ts":"2026-11-26T12:00:00Z","metric":"spo2","val')
  await page.getByRole('link', { name: /JSON truncated/ }).waitFor({ timeout: 60_000 })
  await page.getByRole('link', { name: /JSON truncated/ }).click()
  await page.getByText('"metric":"spo2","val').first().waitFor({ timeout: 60_000 })
  await page.getByRole('button', { name: /Replay/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click()
  await page.getByText(/refused again|0 of/).first().waitFor({ timeout: 60_000 })
  assert.deepEqual(problems, [])
})
