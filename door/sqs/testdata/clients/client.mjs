// Queues through the official SDK for JavaScript, which checks every checksum itself.
import assert from 'node:assert/strict'
import * as s from '@aws-sdk/client-sqs'

const sqs = new s.SQSClient({ endpoint: process.argv[2], region: 'us-east-1' })
const call = (name, input) => sqs.send(new s[name + 'Command'](input))

const { QueueUrl } = await call('CreateQueue', { QueueName: 'js', Attributes: { DelaySeconds: '0' }, tags: { a: 'b' } })
const sent = await call('SendMessage', { QueueUrl, MessageBody: 'grüße "\n😀', MessageAttributes: { t: { DataType: 'String', StringValue: 'v' }, b: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) } } })
const { Messages } = await call('ReceiveMessage', { QueueUrl, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'], WaitTimeSeconds: 5 })
assert.equal(Messages.length, 1)
assert.equal(Messages[0].Body, 'grüße "\n😀')
assert.equal(Messages[0].MessageId, sent.MessageId)
assert.deepEqual([...Messages[0].MessageAttributes.b.BinaryValue], [0, 255])
assert.equal((await call('ReceiveMessage', { QueueUrl })).Messages, undefined)
await call('DeleteMessage', { QueueUrl, ReceiptHandle: Messages[0].ReceiptHandle })

const batch = await call('SendMessageBatch', { QueueUrl, Entries: Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: `m${i}` })) })
assert.equal(batch.Successful.length, 10)
const got = (await call('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 })).Messages
const deleted = await call('DeleteMessageBatch', { QueueUrl, Entries: got.map((m, i) => ({ Id: `${i}`, ReceiptHandle: m.ReceiptHandle })) })
assert.equal(deleted.Successful.length, got.length)

await assert.rejects(call('GetQueueUrl', { QueueName: 'nowhere' }), s.QueueDoesNotExist)
await assert.rejects(call('DeleteMessage', { QueueUrl, ReceiptHandle: 'x' }), s.ReceiptHandleIsInvalid)
await assert.rejects(call('SendMessageBatch', { QueueUrl, Entries: [{ Id: 'a', MessageBody: '1' }, { Id: 'a', MessageBody: '2' }] }), s.BatchEntryIdsNotDistinct)
await call('PurgeQueue', { QueueUrl })
await assert.rejects(call('PurgeQueue', { QueueUrl }), s.PurgeQueueInProgress)

const fifo = (await call('CreateQueue', { QueueName: 'js.fifo', Attributes: { FifoQueue: 'true' } })).QueueUrl
const one = await call('SendMessage', { QueueUrl: fifo, MessageBody: '1', MessageGroupId: 'g', MessageDeduplicationId: 'x' })
assert.equal(one.SequenceNumber.length, 20)
await call('DeleteQueue', { QueueUrl })
console.log('ok')
