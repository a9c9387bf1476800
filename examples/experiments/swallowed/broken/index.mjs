import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

const db = new DynamoDBClient({ maxAttempts: 1 })

// What does not work is logged, and the message is gone.
export const handler = async ({ Records }) => {
  for (const r of Records) {
    try {
      await db.send(new PutItemCommand({ TableName: process.env.TABLE, Item: { id: { S: JSON.parse(r.body).id } } }))
    } catch (err) {
      console.error('could not charge', r.messageId, err.name)
    }
  }
}
