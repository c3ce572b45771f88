// mqtt.js against a gateway: both versions, QoS 0 to 2, at the address of the first argument; the second is a topic.
import { connectAsync } from 'mqtt'

const [url, topic] = process.argv.slice(2)
for (const protocolVersion of [4, 5]) {
  const client = await connectAsync(url, { protocolVersion, clientId: `mqttjs-${protocolVersion}` }, false)
  const heard = []
  let wake = () => {}
  client.on('message', (_topic, payload, packet) => {
    heard.push(`${payload} ${packet.qos}`)
    wake()
  })
  const [granted] = await client.subscribeAsync(topic, { qos: 2 })
  if (granted.qos !== 2) throw new Error(`granted ${granted.qos}`)
  for (const qos of [0, 1, 2]) {
    await client.publishAsync(topic, `${protocolVersion}-${qos}`, { qos })
    const expected = `${protocolVersion}-${qos} ${qos}`
    while (!heard.includes(expected)) {
      const timer = setTimeout(() => { throw new Error(`no ${expected} but ${heard}`) }, 10_000)
      await new Promise((resolve) => { wake = resolve })
      clearTimeout(timer)
    }
  }
  await client.endAsync()
}
console.log(`mqtt.js at ${url}: both versions, QoS 0 to 2`)
