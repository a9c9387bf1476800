// A function that does what its event says, so that faults can be seen from outside.
const fs = require('node:fs')
const http = require('node:http')

const get = (url) => new Promise((resolve) => {
  http.get(url, (res) => {
    res.resume()
    res.on('end', () => resolve('fine'))
    res.on('error', () => resolve('broken'))
  }).on('error', () => resolve('unreachable'))
})

exports.handler = async (event) => {
  const answer = (body) => ({ statusCode: 200, body })
  switch (event.do) {
    case 'write':
      try { fs.writeFileSync('/tmp/f', Buffer.alloc(64 << 10)) } catch (e) { return answer(e.code) }
      break
    case 'memory': {
      const held = Buffer.alloc(event.mb << 20, 1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      return answer(String(held.length >> 20))
    }
    case 'variable':
      return answer(process.env.GREETING)
    case 'get':
      return answer(await get(event.url))
  }
  return answer('fine')
}
