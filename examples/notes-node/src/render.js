'use strict';
const { html } = require('markup'); // from the layer

exports.handler = async (event) => {
  const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf8') : event.body || '';
  console.log('rendering', text.length, 'characters');
  return { statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: html(text) };
};
