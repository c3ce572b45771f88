// What needs no browser: how things are written, addresses, the stream of events, which rows are in sight.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { History } from '../../../../console/assets/js/history.js'
import { EventReader } from '../../../../console/assets/js/live.js'
import { slice } from '../../../../console/assets/js/list.js'
import { Pages } from '../../../../console/assets/js/pages.js'
import { hex, pretty } from '../../../../console/assets/js/payload.js'
import { Resource } from '../../../../console/assets/js/resource.js'
import { link, parse } from '../../../../console/assets/js/router.js'
import { sparkPath } from '../../../../console/assets/js/spark.js'
import { Steps } from '../../../../console/assets/js/steps.js'
import * as format from '../../../../console/assets/js/format.js'

test('events are read however they are cut', () => {
  const text = ': hello\n\nevent: heard\ndata: {"devices":[]}\n\nevent: alert\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata: x\n\n'
  const whole = new EventReader().push(text)
  assert.deepEqual(whole, [{ name: 'heard', data: '{"devices":[]}' }, { name: 'alert', data: '{"a":\n1}' }, { name: 'message', data: 'x' }])
  for (let cut = 1; cut < text.length; cut += 1) {
    const reader = new EventReader()
    assert.deepEqual([...reader.push(text.slice(0, cut)), ...reader.push(text.slice(cut))], whole, `cut at ${cut}`)
  }
})

test('addresses lead back to what they were made of', () => {
  for (const parts of [['ward-3', 'monitor-001'], ['a/b', '#?&=%'], ['Zimmer 4', 'ärztin'], ['..', '<img>']]) {
    const query = { metric: 'a&b=c', q: '' }
    assert.deepEqual(parse(link('devices', parts, query)), { view: 'devices', parts, query: { metric: 'a&b=c' } })
  }
  assert.deepEqual(parse(''), { view: 'overview', parts: [], query: {} })
  assert.equal(parse('#/devices/%E0%A4%A').parts[0], '%E0%A4%A')
})

test('numbers, sizes and times are written for people', () => {
  assert.equal(format.bytes(1_530_000), '1.5 MB')
  assert.equal(format.bytes(999), '999 B')
  assert.equal(format.value(37.149), '37.15')
  assert.equal(format.value(0.0000012), '0.000001200')
  assert.equal(format.value(null), '–')
  assert.equal(format.rate(0.42), '0.4')
  assert.equal(format.span(7500), '2 h 5 min')
  const now = Date.parse('2026-11-26T12:00:00Z')
  assert.equal(format.ago('2026-11-26T11:59:48Z', now), '12 s ago')
  assert.equal(format.ago('2026-11-26T09:10:00Z', now), '2 h ago')
  assert.equal(format.ago('2026-11-26T12:10:00Z', now), 'in 10 min')
  assert.equal(format.ago(null, now), 'never')
  assert.equal(format.ago('soon', now), 'soon')
  assert.equal(format.unit('mm[Hg]'), 'mmHg')
  assert.equal(format.unit('10*3/uL'), '10*3/uL')
  assert.equal(format.words('cbor_syntax'), 'CBOR syntax')
  assert.equal(format.spanWords('2h'), '2 hours')
})

test('rows in sight are few, whatever is scrolled to', () => {
  for (const count of [0, 1, 12, 5000]) {
    for (let top = 300; top > -5000 * 56 - 3000; top -= 977) {
      const { first, last } = slice({ scrolled: 0, seen: 900, top, height: 56, count })
      assert.ok(first >= 0 && last <= count && last - first <= 31, `${count} ${top}: ${first}..${last}`)
      if (count) assert.ok(last > first)
    }
  }
})

test('a sparkline has gaps where values are missing, and no number that is none', () => {
  assert.equal(sparkPath([1], 10, 10), '')
  assert.equal(sparkPath([null, null], 10, 10), '')
  assert.match(sparkPath([1, null, 3, 4], 30, 10), /^M0\.0 [\d.]+M20\.0 [\d.]+L30\.0 [\d.]+$/)
  assert.ok(!/NaN|Infinity/.test(sparkPath([5, 5, 5], 30, 10)))
})

test('payloads are shown as they are', () => {
  assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}')
  assert.equal(pretty('21.5'), '21.5')
  assert.equal(pretty('{"a":'), '{"a":')
  assert.ok(pretty('x'.repeat(50_000)).length < 21_000)
  assert.match(hex(Buffer.from('\x00{"').toString('base64')), /^000000 {2}00 7b 22 +\.\{"$/)
})

test('the past of rates is bounded', () => {
  const past = new History()
  for (let s = 0; s < 4000; s += 2) past.add(s * 1000, { rates: { messages_per_s: s, rows_per_s: s, landings_per_min: 1 }, lag: { oldest_s: 0 } })
  assert.ok(past.times.length <= 452, `${past.times.length}`)
  assert.equal(past.data(), past.data())
  assert.equal(past.last('messages', 3).length, 3)
})

/** A server whose answers come when the test says so. */
function server(of = Pages, options = {}) {
  globalThis.document = { hidden: false }
  const asked = []
  let told = () => {}
  const fetch = () => new Promise((answer, refuse) => {
    asked.push({ answer: (...items) => answer({ items, next: null }), refuse })
    told()
  })
  const pages = new of(fetch, () => pages.look(0, 10), { atMostMs: 0, ...options })
  const request = async (number) => {
    while (asked.length < number) await new Promise((resolve) => { told = resolve })
    return asked[number - 1]
  }
  return { pages, asked, request }
}

test('news that come while a page is read are not lost', async (context) => {
  const { pages, request } = server()
  context.after(() => pages.close())
  ;(await request(1)).answer('old')
  await turn()
  pages.changed()
  const second = await request(2)
  pages.changed()
  await new Promise((resolve) => setTimeout(resolve, 20))
  second.answer('older than the news')
  ;(await request(3)).answer('new')
  await turn()
  assert.deepEqual(pages.rows, ['new'])
})

test('news that come while a value is read are not lost', async (context) => {
  globalThis.document = { hidden: false }
  const asked = []
  const read = new Resource(() => new Promise((answer) => asked.push(answer)), () => {}, { on: ['landed'], atMostMs: 0 })
  context.after(() => read.close())
  read.heard('landed')
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(asked.length, 1)
  asked[0]('older than the news')
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(asked.length, 2)
  asked[1]('new')
  await turn()
  assert.equal(read.value, 'new')
})

test('a list is read again without news, and after an error', async (context) => {
  const { pages, asked, request } = server(Pages, { everyMs: 20 })
  context.after(() => pages.close())
  ;(await request(1)).refuse(new Error('busy'))
  await turn()
  assert.equal(asked.length, 1, 'an error is not answered at once')
  ;(await request(2)).answer('a')
  ;(await request(3)).answer('b')
  await turn()
  assert.deepEqual([pages.rows, pages.error], [['b'], null])
})

test('what is refused for good is asked for once', async (context) => {
  const { pages, asked, request } = server(Pages, { everyMs: 5 })
  context.after(() => pages.close())
  ;(await request(1)).refuse(Object.assign(new Error('no'), { status: 403 }))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(asked.length, 1)
})

test('a step is read once it has landed, though a landing was on its way when it was told', async (context) => {
  const { pages, request, asked } = server(Steps)
  context.after(() => pages.close())
  ;(await request(1)).answer()
  await turn()
  pages.heard('alert')
  pages.heard('landed')
  ;(await request(2)).answer('firing')
  await turn()
  pages.heard('landed')
  ;(await request(3)).answer('acknowledged', 'firing')
  await turn()
  assert.deepEqual(pages.rows, ['acknowledged', 'firing'])
  pages.heard('landed')
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(asked.length, 3, 'landings without steps change nothing')
})

const turn = () => new Promise((resolve) => setImmediate(resolve))
