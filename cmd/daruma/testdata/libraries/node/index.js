const failureLambda = require('failure-lambda')
const fs = require('fs')
const http = require('http')

const asks = url => new Promise(resolve => http.get(url, { agent: false }, r => { r.resume(); r.on('end', () => resolve('answered')) }).on('error', e => resolve('no answer: ' + e.message)))

exports.handler = failureLambda(async event => ({
  statusCode: 200,
  body: event.url ? await asks(event.url) : 'fine',
  filled: fs.readdirSync('/tmp').filter(name => name.startsWith('diskspace-failure')).length
}))
