// What devices sent, as people read it: JSON with line breaks, other text as it is, bytes as hex. Always text. Pure.

const LONGEST = 20_000

/** Text, with line breaks where it is JSON. */
export function pretty(text) {
  if (text === null || text === undefined) return ''
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} more characters` : text
  if (cut !== text) return cut
  try {
    const value = JSON.parse(text)
    return value !== null && typeof value === 'object' ? JSON.stringify(value, null, 2) : text
  } catch {
    return text
  }
}

/** Bytes as `00000000  7b 22 …  {"…`. */
export function hex(base64, most = 512) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, most); at += 16) {
    const row = [...bytes.slice(at, at + 16)]
    const codes = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const shown = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${codes.padEnd(47)}  ${shown}`)
  }
  if (bytes.length > most) lines.push(`… ${bytes.length - most} more bytes`)
  return lines.join('\n')
}
