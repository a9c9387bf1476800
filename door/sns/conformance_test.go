package sns_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/daruma-io/daruma"
)

// conformance asks for what is refused, and says what the service answers.
func (w *world) conformance() (list []refused) {
	arn, fifo := "arn:aws:sns:us-east-1:000000000000:t", "arn:aws:sns:us-east-1:000000000000:t.fifo"
	q := "arn:aws:sqs:us-east-1:000000000000:q"
	c, ctx := w.client, context.Background()
	publish := func(in sdk.PublishInput) error {
		if in.TopicArn == nil {
			in.TopicArn = &arn
		}
		_, err := c.Publish(ctx, &in)
		return err
	}
	attribute := func(name, kind, text string, binary []byte) error {
		v := types.MessageAttributeValue{DataType: &kind, BinaryValue: binary}
		if text != "" {
			v.StringValue = &text
		}
		return publish(sdk.PublishInput{Message: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{name: v}})
	}
	subscribe := func(topic, protocol, endpoint string, attributes map[string]string) error {
		_, err := c.Subscribe(ctx, &sdk.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes})
		return err
	}
	create := func(name string, attributes map[string]string, tags ...types.Tag) error {
		_, err := c.CreateTopic(ctx, &sdk.CreateTopicInput{Name: &name, Attributes: attributes, Tags: tags})
		return err
	}
	batch := func(topic string, entries ...types.PublishBatchRequestEntry) error {
		if entries == nil {
			entries = []types.PublishBatchRequestEntry{}
		}
		_, err := c.PublishBatch(ctx, &sdk.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: entries})
		return err
	}
	entry := func(id string) types.PublishBatchRequestEntry {
		return types.PublishBatchRequestEntry{Id: &id, Message: aws.String("x")}
	}
	add := func(err error, want string) { list = append(list, refused{is(err), want}) }
	long := strings.Repeat("a", 262_145)

	add(create("bad name", nil), "400 InvalidParameter: Invalid parameter: Topic Name")
	add(create("t", map[string]string{"DisplayName": "other"}), "400 InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with different attributes")
	add(create("t", nil, types.Tag{Key: aws.String("k"), Value: aws.String("v")}), "400 InvalidParameter: Invalid parameter: Tags Reason: Topic already exists with different tags")
	add(create("u", nil, types.Tag{Key: aws.String("k"), Value: aws.String("v")}, types.Tag{Key: aws.String("k"), Value: aws.String("w")}), "400 InvalidParameter: Invalid parameter: Duplicated keys are not allowed.")
	add(create("u", map[string]string{"FifoTopic": "true"}), "400 InvalidParameter: Invalid parameter: Topic Name")
	add(create("u.fifo", nil), "400 InvalidParameter: Invalid parameter: Topic Name")

	add(publish(sdk.PublishInput{Message: aws.String("")}), "400 InvalidParameter: Invalid parameter: Empty message")
	add(publish(sdk.PublishInput{Message: &long}), "400 InvalidParameter: Invalid parameter: Message too long")
	add(publish(sdk.PublishInput{Message: aws.String("x"), Subject: aws.String("")}), "400 InvalidParameter: Invalid parameter: Subject")
	add(publish(sdk.PublishInput{Message: aws.String("x"), Subject: aws.String("a\nb")}), "400 InvalidParameter: Invalid parameter: Subject")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: aws.String("nonsense")}), "400 InvalidParameter: Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: aws.String("")}), "400 InvalidParameter: Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: aws.String(arn + "x")}), "404 NotFound: Topic does not exist")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: aws.String("arn:aws:sns:eu-west-1:000000000000:t")}), "400 InvalidParameter: Invalid parameter: TopicArn")
	add(publish(sdk.PublishInput{Message: aws.String("x"), MessageStructure: aws.String("json")}), "400 InvalidParameter: Invalid parameter: Message Structure - JSON message body failed to parse")
	add(publish(sdk.PublishInput{Message: aws.String(`{"sqs":"x"}`), MessageStructure: aws.String("json")}), "400 InvalidParameter: Invalid parameter: Message Structure - No default entry in JSON message body")
	add(publish(sdk.PublishInput{Message: aws.String("x"), MessageDeduplicationId: aws.String("d")}), "400 InvalidParameter: Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: &fifo}), "400 InvalidParameter: Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
	add(publish(sdk.PublishInput{Message: aws.String("x"), TopicArn: &fifo, MessageGroupId: aws.String("g")}), "400 InvalidParameter: Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	_, err := c.Publish(ctx, &sdk.PublishInput{Message: aws.String("x"), PhoneNumber: aws.String("+491234")})
	add(err, "400 UnsupportedOperation: Publishing to a PhoneNumber is not supported here: there are no telephones")

	add(attribute("a", "String", "", nil), "400 ParameterValueInvalid: The message attribute 'a' must contain non-empty message attribute value for message attribute type 'String'.")
	add(attribute("a", "String", "", []byte("x")), "400 ParameterValueInvalid: The message attribute 'a' with type 'String' must use field 'String'.")
	add(attribute("a", "Binary", "x", nil), "400 ParameterValueInvalid: The message attribute 'a' with type 'Binary' must use field 'Binary'.")
	add(attribute("a", "Odd", "x", nil), "400 ParameterValueInvalid: The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	add(attribute("a", "String.", "x", nil), "400 ParameterValueInvalid: The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	add(attribute("a", "String. odd.", "x", nil), "<nil>")
	add(attribute("a", "", "x", nil), "400 ValidationError: 1 validation error detected: Value null at 'messageAttributes.a.member.dataType' failed to satisfy constraint: Member must not be null")
	add(attribute("a^b", "String", "x", nil), "400 ParameterValueInvalid: Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.")
	add(attribute(".a", "String", "x", nil), "400 ParameterValueInvalid: Invalid message attribute name starting with character '.' was found.")
	add(attribute("a.", "String", "x", nil), "400 ParameterValueInvalid: Invalid message attribute name ending with character '.' was found.")
	add(attribute("a..b", "String", "x", nil), "400 ParameterValueInvalid: Message attribute name can not have successive '.' character.")

	add(subscribe(arn, "sqs", "https://queue.amazonaws.com/q", nil), "400 InvalidParameter: Invalid parameter: SQS endpoint ARN")
	add(subscribe(arn, "sqs", q+".fifo", nil), "400 InvalidParameter: Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	add(subscribe(arn, "odd", "x", nil), "400 InvalidParameter: Invalid parameter: Amazon SNS does not support this protocol string: odd")
	add(subscribe(arn, "email", "a@example.com", nil), "400 UnsupportedOperation: The protocol email is not supported here: messages go to queues (sqs), functions (lambda) and URLs (http, https)")
	add(subscribe(arn+"x", "sqs", q, nil), "404 NotFound: Topic does not exist")
	add(subscribe(arn, "sqs", q, map[string]string{"RawMessageDelivery": "wrong"}), "400 InvalidParameter: Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [wrong]. Must be true or false.")
	add(subscribe(arn, "sqs", q, map[string]string{"FilterPolicy": `{"key":[{"wrong-operator":true}]}`}), "400 InvalidParameter: Invalid parameter: Attributes Reason: FilterPolicy: Unrecognized match type wrong-operator\n at [Source: (String)\"{\"key\":[{\"wrong-operator\":true}]}\"; line: 1, column: 31]")
	add(subscribe(arn, "sqs", q, map[string]string{"FilterPolicyScope": "Random"}), "400 InvalidParameter: Invalid parameter: Attributes Reason: FilterPolicyScope: Invalid value [Random]. Please use either MessageBody or MessageAttributes")
	add(subscribe(arn, "sqs", q, map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"x"}`}), "400 InvalidParameter: Invalid parameter: Attributes Reason: RedrivePolicy: deadLetterTargetArn is an invalid arn")
	add(subscribe(arn, "sqs", q, map[string]string{"Odd": "x"}), "400 InvalidParameter: Invalid parameter: Attributes Reason: AttributeName")
	w.subscribe(arn, "sqs", q, nil)
	add(subscribe(arn, "sqs", q, map[string]string{"RawMessageDelivery": "true"}), "400 InvalidParameter: Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
	add(subscribe(fifo, "sqs", q+".fifo", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + q + `"}`}), "400 InvalidParameter: Invalid parameter: Attributes Reason: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")

	unsubscribe := func(arn string) error {
		_, err := c.Unsubscribe(ctx, &sdk.UnsubscribeInput{SubscriptionArn: &arn})
		return err
	}
	add(unsubscribe("x"), "400 InvalidParameter: Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1")
	add(unsubscribe(arn+":not-an-id"), "400 InvalidParameter: Invalid parameter: SubscriptionId")
	add(unsubscribe(arn+":"+daruma.NewID()), "<nil>")
	confirm := func(arn, token string) error {
		_, err := c.ConfirmSubscription(ctx, &sdk.ConfirmSubscriptionInput{TopicArn: &arn, Token: &token})
		return err
	}
	add(confirm(arn, "unknown"), "400 InvalidParameter: Invalid token")
	add(confirm(arn, strings.Repeat("0f", 150)), "400 InvalidParameter: Invalid parameter: Token")
	add(confirm(arn+"x", strings.Repeat("0f", 150)), "400 InvalidParameter: Invalid parameter: Token")

	add(batch(arn), "400 EmptyBatchRequest: The batch request doesn't contain any entries.")
	add(batch(arn, slices.Repeat([]types.PublishBatchRequestEntry{entry("a")}, 11)...), "400 TooManyEntriesInBatchRequest: The batch request contains more entries than permissible.")
	add(batch(arn, entry("a"), entry("a")), "400 BatchEntryIdsNotDistinct: Two or more batch entries in the request have the same Id.")
	add(batch(arn, entry("a.b")), "400 InvalidBatchEntryId: The Id of a batch entry in the batch request contains an impermissible character: a.b")
	add(batch(fifo, entry("a")), "400 InvalidParameter: Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
	with := func(kind string) types.PublishBatchRequestEntry {
		e := entry("b")
		e.MessageAttributes = map[string]types.MessageAttributeValue{"a": {DataType: &kind, StringValue: aws.String("x")}}
		return e
	}
	add(batch(arn, entry("a"), with("Odd")), "400 ParameterValueInvalid: The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	add(batch(arn, entry("a"), with("")), "400 ValidationError: 1 validation error detected: Value null at 'publishBatchRequestEntries.2.member.messageAttributes.a.member.dataType' failed to satisfy constraint: Member must not be null")
	add(batch(arn, entry("a"), types.PublishBatchRequestEntry{Id: aws.String("b"), Message: aws.String(`{"sqs":"x"}`), MessageStructure: aws.String("json")}), "400 InvalidParameter: Invalid parameter: Message Structure - No default entry in JSON message body")
	half := strings.Repeat("a", 140_000)
	add(batch(arn, types.PublishBatchRequestEntry{Id: aws.String("a"), Message: &half}, types.PublishBatchRequestEntry{Id: aws.String("b"), Message: &half}), "400 BatchRequestTooLong: The length of all the messages put together is more than the limit.")

	_, err = c.AddPermission(ctx, &sdk.AddPermissionInput{TopicArn: &arn, Label: aws.String("l"), AWSAccountId: []string{"1"}, ActionName: []string{"Odd"}})
	add(err, "400 InvalidParameter: Invalid parameter: Policy statement action out of service scope!")
	_, err = c.ListPlatformApplications(ctx, &sdk.ListPlatformApplicationsInput{})
	add(err, "400 UnsupportedOperation: ListPlatformApplications is not supported here: there are no telephones, no push services and no data protection policies")
	_, err = c.SetTopicAttributes(ctx, &sdk.SetTopicAttributesInput{TopicArn: &arn, AttributeName: aws.String("Odd"), AttributeValue: aws.String("x")})
	add(err, "400 InvalidParameter: Invalid parameter: AttributeName")
	_, err = c.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: aws.String(arn + "x")})
	add(err, "404 ResourceNotFound: Resource does not exist")
	return list
}

type refused struct{ got, want string }

func TestTheGoSDKIsRefusedInTheServicesWords(t *testing.T) {
	w := newWorld(t)
	w.topic("t", nil)
	w.topic("t.fifo", map[string]string{"FifoTopic": "true"})
	for _, r := range w.conformance() {
		if r.got != r.want {
			t.Errorf("got  %s\nwant %s", r.got, r.want)
		}
	}
}
