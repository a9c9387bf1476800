// What the JavaScript SDK makes of the door's answers: one conformance list, as in client.py.
import assert from 'node:assert/strict'
import { SNSClient, CreateTopicCommand, GetTopicAttributesCommand, ListTagsForResourceCommand, ListTopicsCommand, SubscribeCommand, GetSubscriptionAttributesCommand, ListSubscriptionsByTopicCommand,
  PublishCommand, PublishBatchCommand, SetSubscriptionAttributesCommand, CreatePlatformApplicationCommand, UnsubscribeCommand, ListSubscriptionsCommand, DeleteTopicCommand } from '@aws-sdk/client-sns'

const sns = new SNSClient({ endpoint: process.argv[2], maxAttempts: 1 })
const refused = async (name, command) => {
  try {
    await sns.send(command)
  } catch (e) {
    assert.equal(e.name, name, e)
    return e.message
  }
  assert.fail(name + ' did not come')
}

const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'js', Attributes: { DisplayName: 'J' }, Tags: [{ Key: 'k', Value: 'v' }] }))
assert.equal((await sns.send(new GetTopicAttributesCommand({ TopicArn }))).Attributes.DisplayName, 'J')
assert.deepEqual((await sns.send(new ListTagsForResourceCommand({ ResourceArn: TopicArn }))).Tags, [{ Key: 'k', Value: 'v' }])
assert.ok((await sns.send(new ListTopicsCommand({}))).Topics.some(t => t.TopicArn === TopicArn))
const { SubscriptionArn } = await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: 'arn:aws:sqs:us-east-1:000000000000:q', ReturnSubscriptionArn: true,
  Attributes: { FilterPolicy: JSON.stringify({ color: ['red', { prefix: 'b' }] }), RawMessageDelivery: 'true' } }))
assert.equal((await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }))).Attributes.RawMessageDelivery, 'true')
assert.deepEqual((await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }))).Subscriptions.map(s => s.SubscriptionArn), [SubscriptionArn])
assert.ok((await sns.send(new PublishCommand({ TopicArn, Message: 'grüße <&>', Subject: 'S', MessageAttributes: {
  color: { DataType: 'String', StringValue: 'blue' }, raw: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 2]) } } }))).MessageId)
const batch = await sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: [{ Id: '1', Message: 'a' }, { Id: '2', Message: 'b', Subject: '' }] }))
assert.deepEqual(batch.Successful.map(s => s.Id), ['1'])
assert.equal(batch.Failed[0].Code, 'InvalidParameter')
assert.equal(await refused('NotFoundException', new PublishCommand({ TopicArn: TopicArn + 'x', Message: 'm' })), 'Topic does not exist')
assert.equal(await refused('InvalidParameterException', new PublishCommand({ TopicArn, Message: '' })), 'Invalid parameter: Empty message')
assert.match(await refused('InvalidParameterException', new SetSubscriptionAttributesCommand({ SubscriptionArn, AttributeName: 'FilterPolicy', AttributeValue: '{"key":[{"wrong-operator":true}]}' })), /line: 1, column: 31/)
await refused('UnsupportedOperation', new CreatePlatformApplicationCommand({ Name: 'p', Platform: 'GCM', Attributes: {} }))
await refused('TooManyEntriesInBatchRequestException', new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: Array.from({ length: 11 }, (_, i) => ({ Id: String(i), Message: 'm' })) }))
await sns.send(new UnsubscribeCommand({ SubscriptionArn }))
assert.equal((await sns.send(new ListSubscriptionsCommand({}))).Subscriptions.length, 0)
await sns.send(new DeleteTopicCommand({ TopicArn }))
console.log('the JavaScript SDK got what it expects')
