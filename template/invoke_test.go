package template

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daruma-io/daruma/catalog"
)

// invokes are an app's configurations, without their places.
func invokes(t *testing.T, text string) []EventInvoke {
	t.Helper()
	app := loads(t, text)
	if len(app.Unsupported) > 0 {
		t.Fatalf("got %v, want nothing unsupported", app.Unsupported)
	}
	for _, e := range app.EventInvoke {
		if !strings.HasPrefix(e.Position, "template.yaml:") {
			t.Errorf("%s is at %q, want a line", e.LogicalID, e.Position)
		}
	}
	return app.EventInvoke
}

func compare[T any](t *testing.T, want, got []T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(EventInvoke{}, "Position")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const (
	arnOfG   = "arn:aws:lambda:us-east-1:123456789012:function:G"
	settings = "EventInvokeConfig: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60, DestinationConfig: { OnSuccess: { Type: Lambda, Destination: !GetAtt G.Arn }, OnFailure: { Type: Lambda, Destination: !Sub '${G.Arn}:$LATEST' } } }"
)

func TestAFunctionsEventInvokeConfigIsThatOfLatestOrOfItsAlias(t *testing.T) {
	want := EventInvoke{LogicalID: "FEventInvokeConfig", EventInvokeConfig: catalog.EventInvokeConfig{
		Function: "F", Qualifier: catalog.Latest, Retries: new(0), MaxAge: time.Minute, OnSuccess: arnOfG, OnFailure: arnOfG + ":$LATEST",
	}}
	compare(t, []EventInvoke{want}, invokes(t, sam+function("F", settings)+resourceFunction("G")))
	want.Qualifier = "live"
	compare(t, []EventInvoke{want}, invokes(t, sam+function("F", settings, "AutoPublishAlias: live")+resourceFunction("G")))
}

func TestEventInvokeConfigMayComeFromGlobals(t *testing.T) {
	got := invokes(t, sam+"Globals: { Function: { EventInvokeConfig: { MaximumRetryAttempts: 1 }, RecursiveLoop: Allow } }\n"+function("F", "EventInvokeConfig: { MaximumEventAgeInSeconds: 21600 }"))
	compare(t, []EventInvoke{{LogicalID: "FEventInvokeConfig", EventInvokeConfig: catalog.EventInvokeConfig{Function: "F", Qualifier: catalog.Latest, Retries: new(1), MaxAge: 6 * time.Hour}}}, got)
}

const rawF = `Resources:
  F: { Type: AWS::Lambda::Function, Properties: { Runtime: python3.12, Handler: index.h, Role: r, RecursiveLoop: Allow, Code: { ZipFile: x } } }
  V: { Type: AWS::Lambda::Version, Properties: { FunctionName: !Ref F } }
  A: { Type: AWS::Lambda::Alias, Properties: { FunctionName: !Ref F, FunctionVersion: !GetAtt V.Version, Name: live } }
  G: { Type: AWS::Lambda::Function, Properties: { Runtime: python3.12, Handler: index.h, Role: r, Code: { ZipFile: x } } }
`

// raw is an AWS::Lambda::EventInvokeConfig with the given properties.
func rawInvoke(properties string) string {
	return rawF + "  E: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref F, " + properties + " } }\n"
}

func TestAnEventInvokeConfigMayBeAResourceOfItsOwn(t *testing.T) {
	for properties, want := range map[string]EventInvoke{
		"Qualifier: $LATEST, MaximumRetryAttempts: 2":                                                 {EventInvokeConfig: catalog.EventInvokeConfig{Qualifier: "$LATEST", Retries: new(2)}},
		"Qualifier: live, DestinationConfig: { OnFailure: { Destination: !GetAtt G.Arn } }":           {EventInvokeConfig: catalog.EventInvokeConfig{Qualifier: "live", OnFailure: arnOfG}},
		"Qualifier: !GetAtt V.Version, MaximumEventAgeInSeconds: 100":                                 {EventInvokeConfig: catalog.EventInvokeConfig{Qualifier: "1", MaxAge: 100 * time.Second}, VersionID: "V"},
		"Qualifier: '3', DestinationConfig: { OnSuccess: { Destination: !Sub '${G.Arn}' } }":          {EventInvokeConfig: catalog.EventInvokeConfig{Qualifier: "3", OnSuccess: arnOfG}},
		"Qualifier: $LATEST, MaximumRetryAttempts: !Ref AWS::NoValue, MaximumEventAgeInSeconds: '60'": {EventInvokeConfig: catalog.EventInvokeConfig{Qualifier: "$LATEST", MaxAge: time.Minute}},
	} {
		want.Function, want.LogicalID = "F", "E"
		compare(t, []EventInvoke{want}, invokes(t, rawInvoke(properties)))
	}
	app := loads(t, rawInvoke("Qualifier: $LATEST, MaximumRetryAttempts: 2")+"Outputs: { O: { Value: !Ref E } }\n")
	if app.Functions[0].Recursion != "Allow" || app.Functions[1].Recursion != "" {
		t.Errorf("got %q and %q, want what each function says", app.Functions[0].Recursion, app.Functions[1].Recursion)
	}
}

func TestWrongConfigurationsOfAsynchronousInvocationAreRefused(t *testing.T) {
	with := func(properties string) string {
		return sam + function("F", "EventInvokeConfig: "+properties) + resourceFunction("G")
	}
	wrong(t, []line{
		{"nothing", with("{}"), "You must specify at least one of error handling or destination setting."},
		{"retries", with("{ MaximumRetryAttempts: 3 }"), "property 'EventInvokeConfig.MaximumRetryAttempts' must be from 0 to 2, not 3"},
		{"age", with("{ MaximumEventAgeInSeconds: 59 }"), "property 'EventInvokeConfig.MaximumEventAgeInSeconds' must be from 60 to 21600, not 59"},
		{"unknown property", with("{ MaximumRetryAttempt: 1 }"), "property 'EventInvokeConfig.MaximumRetryAttempt' is not defined (did you mean MaximumRetryAttempts?)"},
		{"unknown destination", with("{ DestinationConfig: { OnError: {} } }"), "property 'EventInvokeConfig.DestinationConfig.OnError' is not defined"},
		{"no type", with("{ DestinationConfig: { OnFailure: { Destination: !GetAtt G.Arn } } }"), "'Type' must be one of SQS, SNS, EventBridge, Lambda, S3Bucket"},
		{"type", with("{ DestinationConfig: { OnFailure: { Type: Sqs } } }"), "must be one of SQS, SNS, EventBridge, Lambda, S3Bucket, not \"Sqs\""},
		{"type without a destination", with("{ DestinationConfig: { OnFailure: { Type: EventBridge } } }"), "Destination is required if Type is not SQS or SNS"},
		{"itself", with("{ DestinationConfig: { OnFailure: { Type: Lambda, Destination: !Sub 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:F' } } }"), "You can't specify the function as a destination for itself."},
		{"a name", with("{ DestinationConfig: { OnFailure: { Type: Lambda, Destination: G } } }"), "a destination is an ARN, not G"},
		{"another service", with("{ DestinationConfig: { OnFailure: { Type: Lambda, Destination: 'arn:aws:iam::123456789012:role/r' } } }"), "is no function, queue, topic, event bus or bucket"},
		{"the address of a queue", with("{ DestinationConfig: { OnFailure: { Type: SQS, Destination: !Ref Q } } }") + "  Q: { Type: AWS::SQS::Queue }\n", "a destination is an ARN, not https://sqs."},
		{"loops", sam + function("F", "RecursiveLoop: Maybe"), "property 'RecursiveLoop' must be one of Allow, Terminate, not \"Maybe\""},
		{"dead-letter queue without a target", sam + function("F", "DeadLetterQueue: { Type: SQS }"), "'DeadLetterQueue' requires Type and TargetArn properties to be specified."},
		{"dead-letter queue that is a function", sam + function("F", "DeadLetterQueue: { Type: Lambda, TargetArn: a }"), "property 'DeadLetterQueue.Type' must be one of SQS, SNS"},
		{"resource without a qualifier", rawF + "  E: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref F, MaximumRetryAttempts: 1 } }\n", "missing required property 'Qualifier'"},
		{"resource without anything", rawInvoke("Qualifier: $LATEST"), "You must specify at least one of error handling or destination setting."},
		{"alias there is not", rawInvoke("Qualifier: dead, MaximumRetryAttempts: 1"), "the function F has no alias dead in this template"},
		{"destination without an ARN", rawInvoke("Qualifier: live, DestinationConfig: { OnFailure: {} }"), "missing required property 'DestinationConfig.OnFailure.Destination'"},
		{"two of one alias", rawInvoke("Qualifier: live, MaximumRetryAttempts: 1") + "  E2: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref F, Qualifier: live, MaximumRetryAttempts: 1 } }\n", "asynchronous invocations of F:live are configured already (the other is E)"},
	})
}

func TestDestinationsThatAreNotSupportedAreNamedAndTheRestIsTaken(t *testing.T) {
	with := func(destinations string) string {
		return sam + function("F", "EventInvokeConfig:", "  MaximumRetryAttempts: 1", "  DestinationConfig:", "    "+destinations) + "  Q: { Type: AWS::SQS::Queue }\n  T: { Type: AWS::SNS::Topic }\n  B: { Type: AWS::Events::EventBus, Properties: { Name: b } }\n"
	}
	lines := []line{
		{"a bus", with("OnSuccess: { Type: EventBridge, Destination: !GetAtt B.Arn }"), "destinations that are event buses are not supported"},
		{"a bucket", with("OnFailure: { Type: S3Bucket, Destination: 'arn:aws:s3:::b' }"), "destinations that are buckets are not supported"},
		{"another app's function", with("OnFailure: { Type: Lambda, Destination: 'arn:aws:lambda:us-east-1:123456789012:function:Other' }"), "function:Other is no function of this template"},
		{"a queue that is elsewhere", with("OnFailure: { Type: SQS, Destination: 'arn:aws:sqs:us-east-1:123456789012:q' }"), "template.yaml:11:48: the queue arn:aws:sqs:us-east-1:123456789012:q is not in this template; without it: the records of events that failed for good of F"},
		{"an import", with("OnFailure: { Type: Lambda, Destination: !ImportValue x }"), "cannot be known here"},
		{"a dead-letter queue that is elsewhere", sam + function("F", "DeadLetterQueue: { Type: SQS, TargetArn: 'arn:aws:sqs:us-east-1:123456789012:q' }"), "the queue arn:aws:sqs:us-east-1:123456789012:q is not in this template; without it: the dead-letter queue: events of F that fail for good are only in the record of failures"},
		{"a dead-letter topic", strings.Replace(rawF, "RecursiveLoop: Allow", "DeadLetterConfig: { TargetArn: 'arn:aws:sns:us-east-1:123456789012:t' }", 1), "the topic arn:aws:sns:us-east-1:123456789012:t is not in this template"},
		{"a version that is published", sam + function("F", "AutoPublishAlias: live") + "  E: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref F, Qualifier: !GetAtt F.Version.Version, MaximumRetryAttempts: 1 } }\n", "the version that 'Qualifier' names cannot be known here"},
	}
	refused(t, lines)
	for _, l := range lines[:5] {
		app := loads(t, l.text)
		compare(t, []EventInvoke{{LogicalID: "FEventInvokeConfig", EventInvokeConfig: catalog.EventInvokeConfig{Function: "F", Qualifier: "$LATEST", Retries: new(1)}}}, app.EventInvoke)
		if app.Functions[0].DeadLetter != "" {
			t.Errorf("%s: got the dead-letter target %q", l.name, app.Functions[0].DeadLetter)
		}
	}
}

func TestAFunctionThatIsLeftOutTakesItsConfigurationAlong(t *testing.T) {
	app := loads(t, sam+function("F", "PackageType: Image", "ImageUri: x", "EventInvokeConfig: { MaximumRetryAttempts: 1 }")+resourceFunction("G", "CodeUri: s3://b/k", "EventInvokeConfig: { MaximumRetryAttempts: 1 }")+
		"  E: { Type: AWS::Lambda::EventInvokeConfig, Properties: { FunctionName: !Ref F, Qualifier: $LATEST, MaximumRetryAttempts: 1 } }\n")
	if len(app.Functions) != 0 || len(app.EventInvoke) != 0 {
		t.Errorf("got %v and %v, want nothing", app.Functions, app.EventInvoke)
	}
}
