import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'

const db = new DynamoDBClient({ maxAttempts: 1 })

// The order is the key: a second run finds the payment there.
export const handler = async (event) => {
  try {
    await db.send(new PutItemCommand({
      TableName: process.env.TABLE, Item: { id: { S: event.id } }, ConditionExpression: 'attribute_not_exists(id)'
    }))
  } catch (err) {
    if (err.name !== 'ConditionalCheckFailedException') throw err
  }
}
