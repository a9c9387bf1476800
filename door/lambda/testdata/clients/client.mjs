// Calls the door with the AWS SDK for JavaScript v3; exits with 1 at the first surprise.
// usage: node client.mjs ENDPOINT
import { deepStrictEqual as want } from "node:assert";
import {
  LambdaClient, InvokeCommand, InvokeWithResponseStreamCommand, GetFunctionCommand, PutFunctionConcurrencyCommand,
  DeleteFunctionConcurrencyCommand, CreateAliasCommand, paginateListFunctions, waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";

const endpoint = process.argv[2];
const options = { endpoint, region: "us-east-1", maxAttempts: 4, credentials: { accessKeyId: "AKID", secretAccessKey: "secret" } };
const client = new LambdaClient(options);
const text = (b) => new TextDecoder().decode(b);

async function refused(command, status, name, attempts = 1, c = client) {
  try {
    await c.send(command);
  } catch (e) {
    want([e.$metadata?.httpStatusCode, e.name, e.$metadata?.attempts], [status, name, attempts], String(e));
    return e;
  }
  throw new Error(name + ": was not refused");
}

let out = await client.send(new InvokeCommand({ FunctionName: "f", Payload: '{"a":1}', LogType: "Tail" }));
want([out.StatusCode, out.ExecutedVersion, text(out.Payload)], [200, "$LATEST", '{"a":1}']);
want(atob(out.LogResult), "START\nEND\n");
out = await client.send(new InvokeCommand({ FunctionName: "arn:aws:lambda:us-east-1:000000000000:function:f", Qualifier: "prod" }));
want(text(out.Payload), "{}");
out = await client.send(new InvokeCommand({ FunctionName: "f", Payload: '"fail"' }));
want([out.StatusCode, out.FunctionError, JSON.parse(text(out.Payload)).errorType], [200, "Unhandled", "E"]);
out = await client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "DryRun" }));
want(out.StatusCode, 204);

const missing = await refused(new InvokeCommand({ FunctionName: "nope" }), 404, "ResourceNotFoundException");
want([missing.message, missing.Type], ["Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST", "User"]);
await refused(new InvokeCommand({ FunctionName: "f", InvocationType: "Event" }), 400, "UnsupportedOperationException");
await refused(new InvokeCommand({ FunctionName: "f", Payload: "{" }), 400, "InvalidRequestContentException");
const throttle = await refused(new InvokeCommand({ FunctionName: "f", Payload: '"throttle"' }), 429, "TooManyRequestsException", 4);
want([throttle.Reason, throttle.retryAfterSeconds], ["ReservedFunctionConcurrentInvocationLimitExceeded", "1"]);
await refused(new InvokeCommand({ FunctionName: "f", Payload: '"' + "x".repeat(6 << 20) + '"' }), 413, "RequestTooLargeException");
await refused(new CreateAliasCommand({ FunctionName: "f", Name: "a", FunctionVersion: "1" }), 400, "UnsupportedOperationException");

const chunks = [];
let complete;
for await (const e of (await client.send(new InvokeWithResponseStreamCommand({ FunctionName: "f", Payload: '"stream"', LogType: "Tail" }))).EventStream) {
  if (e.PayloadChunk) chunks.push(text(e.PayloadChunk.Payload));
  else complete = e.InvokeComplete;
}
want(chunks, ["one", "two"]);
want(atob(complete.LogResult), "log");

const names = [];
for await (const page of paginateListFunctions({ client, pageSize: 2 }, {})) names.push(...page.Functions.map((f) => f.FunctionName));
want(names, ["f", "g", "locked"]);
want((await waitUntilFunctionActiveV2({ client, maxWaitTime: 5 }, { FunctionName: "f" })).state, "SUCCESS");
want((await client.send(new GetFunctionCommand({ FunctionName: "f:prod" }))).Configuration.Version, "1");
want((await client.send(new PutFunctionConcurrencyCommand({ FunctionName: "g", ReservedConcurrentExecutions: 3 }))).ReservedConcurrentExecutions, 3);
want((await client.send(new DeleteFunctionConcurrencyCommand({ FunctionName: "g" }))).$metadata.httpStatusCode, 204);

await refused(new InvokeCommand({ FunctionName: "f" }), 403, "InvalidSignatureException", 1, new LambdaClient({ ...options, credentials: { accessKeyId: "AKID", secretAccessKey: "wrong" } }));
await refused(new InvokeCommand({ FunctionName: "f" }), 403, "UnrecognizedClientException", 1, new LambdaClient({ ...options, credentials: { accessKeyId: "OTHER", secretAccessKey: "x" } }));
console.log("@aws-sdk/client-lambda ok");
