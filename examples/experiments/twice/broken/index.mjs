import { randomUUID } from 'node:crypto'
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

const db = new DynamoDBClient({ maxAttempts: 1 })

// Each run is a payment of its own, also when the event is the same.
export const handler = async (event) => {
  await db.send(new PutItemCommand({ TableName: process.env.TABLE, Item: { id: { S: randomUUID() }, order: { S: event.id } } }))
}
