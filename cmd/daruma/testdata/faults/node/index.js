// A function that does what its event says, so that faults can be seen from outside.
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')

const get = (url) => new Promise((resolve) => {
  http.get(url, (res) => {
    res.resume()
    res.on('end', () => resolve('fine'))
    res.on('error', () => resolve('broken'))
  }).on('error', () => resolve('unreachable'))
})

// take tells the world outside which record it was handed.
const take = async (record) => {
  const id = record.dynamodb ? record.dynamodb.Keys.id.S : JSON.parse(record.body).id
  if (await get(process.env.TELL + '/' + id) !== 'fine') throw new Error('nobody hears')
}

// send sends a message, signed by hand: no SDK comes with the runtime here.
const send = async (queue) => {
  const env = process.env
  const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex')
  const url = env.AWS_ENDPOINT_URL
  const body = JSON.stringify({ QueueUrl: queue, MessageBody: 'x' })
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    host: new URL(url).host,
    'x-amz-date': now,
    'x-amz-security-token': env.AWS_SESSION_TOKEN,
    'x-amz-target': 'AmazonSQS.SendMessage'
  }
  const names = Object.keys(headers).join(';')
  const canonical = ['POST', '/', '', ...Object.entries(headers).map(([k, v]) => k + ':' + v), '', names, sha256(body)].join('\n')
  const scope = [now.slice(0, 8), env.AWS_REGION, 'sqs', 'aws4_request']
  const text = ['AWS4-HMAC-SHA256', now, scope.join('/'), sha256(canonical)].join('\n')
  const signature = [...scope, text].reduce((key, part) => crypto.createHmac('sha256', key).update(part).digest(), 'AWS4' + env.AWS_SECRET_ACCESS_KEY).toString('hex')
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${env.AWS_ACCESS_KEY_ID}/${scope.join('/')}, SignedHeaders=${names}, Signature=${signature}`
  return new Promise((resolve, reject) => {
    // on a connection of its own: what is open is reset when a fault on connections begins
    http.request(url, { method: 'POST', headers, agent: false }, (res) => {
      let said = ''
      res.on('data', (part) => { said += part })
      res.on('end', () => resolve(res.statusCode === 200 ? 'fine' : said))
    }).on('error', reject).end(body)
  })
}

exports.handler = async (event) => {
  const answer = (body) => ({ statusCode: 200, body })
  for (const record of event.Records ?? []) await take(record)
  switch (event.do) {
    case 'write':
      try { fs.writeFileSync('/tmp/f', Buffer.alloc(64 << 10)) } catch (e) { return answer(e.code) }
      break
    case 'memory': {
      const held = Buffer.alloc(event.mb << 20, 1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      return answer(String(held.length >> 20))
    }
    case 'clock':
      return answer(((Date.now() / 1000 - event.now) / 60).toFixed(0) + ' minutes')
    case 'variable':
      return answer(process.env.GREETING ?? 'missing')
    case 'send':
      return answer(await send(process.env.QUEUE))
    case 'get':
      return answer(await get(event.url))
  }
  return answer('fine')
}
