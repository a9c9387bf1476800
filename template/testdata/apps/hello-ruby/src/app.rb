def lambda_handler(event:, context:) = { statusCode: 200 }
