import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

const db = new DynamoDBClient({ maxAttempts: 1 })

// What does not work is given back, and comes again.
export const handler = async ({ Records }) => {
  const batchItemFailures = []
  for (const r of Records) {
    try {
      await db.send(new PutItemCommand({ TableName: process.env.TABLE, Item: { id: { S: JSON.parse(r.body).id } } }))
    } catch (err) {
      console.error('could not charge', r.messageId, err.name)
      batchItemFailures.push({ itemIdentifier: r.messageId })
    }
  }
  return { batchItemFailures }
}
