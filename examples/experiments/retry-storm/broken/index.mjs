import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

const db = new DynamoDBClient()

// Ten times at once, three tries of the SDK each, and the event comes again: a storm.
export const handler = async (event) => {
  for (let n = 1; ; n++) {
    try {
      return await db.send(new PutItemCommand({ TableName: process.env.TABLE, Item: { id: { S: event.id } } }))
    } catch (err) {
      if (n === 10) throw err
    }
  }
}
