// Makes an alarm, sets it off and looks at it, as a program with the SDK for JavaScript does.
import { CloudWatchClient, PutMetricAlarmCommand, SetAlarmStateCommand, DescribeAlarmsCommand, DescribeAlarmHistoryCommand, DeleteAlarmsCommand } from "@aws-sdk/client-cloudwatch";

const client = new CloudWatchClient({ endpoint: process.argv[2], maxAttempts: 1 });
await client.send(new PutMetricAlarmCommand({
  AlarmName: "js", Namespace: "AWS/Lambda", MetricName: "Errors", Dimensions: [{ Name: "FunctionName", Value: "F" }],
  Statistic: "Sum", Period: 60, EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: "GreaterThanThreshold",
}));
await client.send(new SetAlarmStateCommand({ AlarmName: "js", StateValue: "ALARM", StateReason: "a test" }));
const { MetricAlarms: [alarm] } = await client.send(new DescribeAlarmsCommand({ AlarmNames: ["js"] }));
if (alarm.StateValue !== "ALARM" || alarm.StateReason !== "a test" || !(alarm.StateUpdatedTimestamp instanceof Date)) throw new Error(JSON.stringify(alarm));
const { AlarmHistoryItems } = await client.send(new DescribeAlarmHistoryCommand({ AlarmName: "js", StartDate: new Date(0) }));
if (AlarmHistoryItems.length !== 2) throw new Error(JSON.stringify(AlarmHistoryItems));
try {
  await client.send(new DeleteAlarmsCommand({ AlarmNames: ["none"] }));
  throw new Error("an alarm that is not there was deleted");
} catch (e) {
  if (e.name !== "ResourceNotFound") throw e;
}
