import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

// The event is tried again, later: that is enough.
const db = new DynamoDBClient({ maxAttempts: 1 })

export const handler = async (event) => {
  await db.send(new PutItemCommand({ TableName: process.env.TABLE, Item: { id: { S: event.id } } }))
}
