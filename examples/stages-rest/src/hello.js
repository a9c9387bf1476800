'use strict';

exports.handler = async (event) => ({
  statusCode: 200,
  headers: { 'Content-Type': 'text/plain' },
  body: `${event.stageVariables.greeting}, ${event.pathParameters.name}!\n`,
});
