package lambda

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// deployed is a world on a real catalog: f with version 1 under the alias
// prod, and g.
func deployed(t *testing.T) (*world, *catalog.Catalog) {
	t.Helper()
	ctx := context.Background()
	c, err := cell.Open(ctx, cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{catalog.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	k, err := catalog.Open(ctx, c, place)
	if err != nil {
		t.Fatal(err)
	}
	all := functions()
	if _, err := k.Deploy(ctx, catalog.Deployment{Functions: []*catalog.Function{all[0], all[3]}, Layers: []*catalog.Layer{{Name: "base"}}, Publish: []catalog.Publication{{Function: "f", Alias: "prod"}}}); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, runner: &runner{do: echo}}
	w.serve(Config{View: k.View, Concurrency: k, Settings: k})
	return w, k
}

func (w *world) put(in sdk.PutFunctionEventInvokeConfigInput) (*sdk.PutFunctionEventInvokeConfigOutput, error) {
	if in.FunctionName == nil {
		in.FunctionName = aws.String("f")
	}
	return w.client.PutFunctionEventInvokeConfig(context.Background(), &in)
}

func (w *world) get(name, qualifier string) (*sdk.GetFunctionEventInvokeConfigOutput, error) {
	in := &sdk.GetFunctionEventInvokeConfigInput{FunctionName: &name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	return w.client.GetFunctionEventInvokeConfig(context.Background(), in)
}

// shown is one line of what a configuration says.
func shown(arn *string, retries, age *int32, d *types.DestinationConfig) string {
	text := strings.TrimPrefix(aws.ToString(arn), arnF)
	if retries != nil {
		text += fmt.Sprint(" retries ", *retries)
	}
	if age != nil {
		text += fmt.Sprint(" age ", *age)
	}
	if d == nil || d.OnSuccess == nil || d.OnFailure == nil {
		return text + " without destinations"
	}
	if d.OnSuccess.Destination != nil {
		text += " success " + *d.OnSuccess.Destination
	}
	if d.OnFailure.Destination != nil {
		text += " failure " + *d.OnFailure.Destination
	}
	return text
}

const arnG = "arn:aws:lambda:us-east-1:000000000000:function:g"

func TestAConfigurationOfAsynchronousInvocationIsPutReadAndDeleted(t *testing.T) {
	w, k := deployed(t)
	out, err := w.put(sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(0), MaximumEventAgeInSeconds: aws.Int32(21600), DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: aws.String(arnG)}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(out.FunctionArn, out.MaximumRetryAttempts, out.MaximumEventAgeInSeconds, out.DestinationConfig), ":$LATEST retries 0 age 21600 success "+arnG; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := out.LastModified.Sub(k.View().EventInvoke("f", "").Modified).Abs(); d.Milliseconds() != 0 {
		t.Errorf("got %v, want when it was changed", out.LastModified)
	}
	got, err := w.get("f", "$LATEST")
	if err != nil || shown(got.FunctionArn, got.MaximumRetryAttempts, got.MaximumEventAgeInSeconds, got.DestinationConfig) != shown(out.FunctionArn, out.MaximumRetryAttempts, out.MaximumEventAgeInSeconds, out.DestinationConfig) || !got.LastModified.Equal(*out.LastModified) {
		t.Errorf("got %+v, %v, want what was answered", got, err)
	}
	// A second one replaces all of the first.
	out, err = w.put(sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(1)})
	if err != nil || shown(out.FunctionArn, out.MaximumRetryAttempts, out.MaximumEventAgeInSeconds, out.DestinationConfig) != ":$LATEST retries 1" {
		t.Errorf("got %+v, %v, want one retry and nothing else", out, err)
	}
	for range 2 {
		_, err = w.client.DeleteFunctionEventInvokeConfig(context.Background(), &sdk.DeleteFunctionEventInvokeConfigInput{FunctionName: aws.String("f")})
		if k.View().EventInvoke("f", "") != nil {
			t.Error("it is still there")
		}
	}
	wantError(t, err, 404, "ResourceNotFoundException", "The function "+arnF+":$LATEST doesn't have an EventInvokeConfig")
}

func TestAConfigurationBelongsToTheQualifierHoweverItIsNamed(t *testing.T) {
	w, _ := deployed(t)
	for _, c := range []struct{ name, qualifier, want string }{
		{"f", "", ":$LATEST"}, {"f", "$LATEST", ":$LATEST"}, {"f:$LATEST", "$LATEST", ":$LATEST"}, {"f", "1", ":1"}, {"f:1", "", ":1"},
		{"f", "prod", ":prod"}, {"f:prod", "", ":prod"}, {arnF + ":prod", "", ":prod"}, {arnF + ":prod", "prod", ":prod"}, {"000000000000:f", "", ":$LATEST"},
	} {
		in := sdk.PutFunctionEventInvokeConfigInput{FunctionName: &c.name, MaximumRetryAttempts: aws.Int32(1)}
		if c.qualifier != "" {
			in.Qualifier = &c.qualifier
		}
		out, err := w.put(in)
		if err != nil || *out.FunctionArn != arnF+c.want {
			t.Errorf("%s %s: got %+v, %v, want %s", c.name, c.qualifier, out, err, c.want)
		}
	}
	_, err := w.put(sdk.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("f:prod"), Qualifier: aws.String("1"), MaximumRetryAttempts: aws.Int32(1)})
	wantError(t, err, 400, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.")
	_, err = w.get("g", "")
	wantError(t, err, 404, "ResourceNotFoundException", "The function "+arnG+":$LATEST doesn't have an EventInvokeConfig")
	_, err = w.get("f", "nope")
	wantError(t, err, 404, "ResourceNotFoundException", "The function "+arnF+":nope doesn't have an EventInvokeConfig")
	_, err = w.get("nope", "")
	wantError(t, err, 404, "ResourceNotFoundException", "The function arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST doesn't have an EventInvokeConfig")
}

func TestUpdateChangesOnlyWhatItIsGiven(t *testing.T) {
	w, _ := deployed(t)
	update := func(in sdk.UpdateFunctionEventInvokeConfigInput) (string, error) {
		in.FunctionName = aws.String("f")
		out, err := w.client.UpdateFunctionEventInvokeConfig(context.Background(), &in)
		if err != nil {
			return "", err
		}
		return shown(out.FunctionArn, out.MaximumRetryAttempts, out.MaximumEventAgeInSeconds, out.DestinationConfig), nil
	}
	_, err := update(sdk.UpdateFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(0)})
	wantError(t, err, 404, "ResourceNotFoundException", "The function "+arnF+":$LATEST doesn't have an EventInvokeConfig")
	both := &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: aws.String(arnG)}, OnFailure: &types.OnFailure{Destination: aws.String(arnG)}}
	if _, err := w.put(sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(2), MaximumEventAgeInSeconds: aws.Int32(60), DestinationConfig: both}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		in   sdk.UpdateFunctionEventInvokeConfigInput
		want string
	}{
		{sdk.UpdateFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(0)}, ":$LATEST retries 0 age 60 success " + arnG + " failure " + arnG},
		{sdk.UpdateFunctionEventInvokeConfigInput{DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{}}}, ":$LATEST retries 0 age 60 failure " + arnG},
		{sdk.UpdateFunctionEventInvokeConfigInput{DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: aws.String("")}}}, ":$LATEST retries 0 age 60"},
	} {
		if got, err := update(step.in); err != nil || got != step.want {
			t.Errorf("got %s, %v, want %s", got, err, step.want)
		}
	}
	_, err = update(sdk.UpdateFunctionEventInvokeConfigInput{})
	wantError(t, err, 400, "InvalidParameterValueException", "You must specify at least one of error handling or destination setting.")
}

func TestAConfigurationThatIsWrongIsRefusedInAWSsWords(t *testing.T) {
	w, k := deployed(t)
	to := func(arn string) sdk.PutFunctionEventInvokeConfigInput {
		return sdk.PutFunctionEventInvokeConfigInput{DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: &arn}}}
	}
	for _, c := range []struct {
		in     sdk.PutFunctionEventInvokeConfigInput
		status int
		code   string
		text   string
	}{
		{sdk.PutFunctionEventInvokeConfigInput{}, 400, "InvalidParameterValueException", "You must specify at least one of error handling or destination setting."},
		{sdk.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("nope")}, 400, "InvalidParameterValueException", "You must specify at least one of error handling or destination setting."},
		{sdk.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("nope"), MaximumRetryAttempts: aws.Int32(1)}, 404, "ResourceNotFoundException", "The function doesn't exist."},
		{sdk.PutFunctionEventInvokeConfigInput{Qualifier: aws.String("nope"), MaximumRetryAttempts: aws.Int32(1)}, 404, "ResourceNotFoundException", "The function doesn't exist."},
		{sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(3)}, 400, "ValidationException", "1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2"},
		{sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(-1), MaximumEventAgeInSeconds: aws.Int32(59)}, 400, "ValidationException", "2 validation errors detected: Value '-1' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value greater than or equal to 0; Value '59' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value greater than or equal to 60"},
		{sdk.PutFunctionEventInvokeConfigInput{MaximumEventAgeInSeconds: aws.Int32(21601)}, 400, "ValidationException", "1 validation error detected: Value '21601' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value less than or equal to 21600"},
		{to(arnF), 400, "InvalidParameterValueException", "You can't specify the function as a destination for itself."},
		{to(arnF + ":prod"), 400, "InvalidParameterValueException", "You can't specify the function as a destination for itself."},
		{to(arnG + "2"), 400, "InvalidParameterValueException", "The destination ARN " + arnG + "2 is invalid."},
		{to(arnG + ":nope"), 400, "InvalidParameterValueException", "The destination ARN " + arnG + ":nope is invalid."},
		{to("arn:aws:lambda:eu-west-1:000000000000:function:g"), 400, "InvalidParameterValueException", "The destination ARN arn:aws:lambda:eu-west-1:000000000000:function:g is invalid."},
		{to("arn:aws:iam:us-east-1:000000000000:function:f"), 400, "InvalidParameterValueException", "The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination=arn:aws:iam:us-east-1:000000000000:function:f)) is invalid."},
		{to("g"), 400, "ValidationException", "1 validation error detected: Value 'g' at 'destinationConfig.onFailure.destination' failed to satisfy constraint: Member must satisfy regular expression pattern: " + destinationARN.text},
		{to("arn:aws:_-/!lambda:us-east-1:000000000000:function:f"), 400, "ValidationException", "1 validation error detected: Value 'arn:aws:_-/!lambda:us-east-1:000000000000:function:f' at 'destinationConfig.onFailure.destination' failed to satisfy constraint: Member must satisfy regular expression pattern: " + destinationARN.text},
		{to("arn:aws:sqs:us-east-1:000000000000:q"), 400, "UnsupportedOperationException", "Destinations that are queues are not supported here: arn:aws:sqs:us-east-1:000000000000:q. Use a function."},
		{to("arn:aws:sns:us-east-1:000000000000:t"), 400, "UnsupportedOperationException", "Destinations that are topics are not supported here: arn:aws:sns:us-east-1:000000000000:t. Use a function."},
		{to("arn:aws:events:us-east-1:000000000000:event-bus/b"), 400, "UnsupportedOperationException", "Destinations that are event buses are not supported here: arn:aws:events:us-east-1:000000000000:event-bus/b. Use a function."},
		{to("arn:aws:s3:::b"), 400, "UnsupportedOperationException", "Destinations that are buckets are not supported here: arn:aws:s3:::b. Use a function."},
	} {
		_, err := w.put(c.in)
		wantError(t, err, c.status, c.code, c.text)
	}
	if got := k.View().EventInvokes("f"); len(got) != 0 {
		t.Errorf("got %v, want nothing configured", got)
	}
	_, err := w.client.UpdateFunctionEventInvokeConfig(context.Background(), &sdk.UpdateFunctionEventInvokeConfigInput{FunctionName: aws.String("nope"), MaximumRetryAttempts: aws.Int32(0)})
	wantError(t, err, 404, "ResourceNotFoundException", "The function doesn't exist.")
	if resp, body := w.send("PUT", "/2019-09-25/functions/f/event-invoke-config", "{"); resp.StatusCode != 400 || body != `{"Type":"User","message":"Could not parse request body into json."}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

func TestConfigurationsAreListedAndPaged(t *testing.T) {
	w, _ := deployed(t)
	ctx := context.Background()
	for _, q := range []string{"prod", "$LATEST", "1"} {
		if _, err := w.put(sdk.PutFunctionEventInvokeConfigInput{Qualifier: &q, MaximumRetryAttempts: aws.Int32(1)}); err != nil {
			t.Fatal(err)
		}
	}
	for max, pages := range map[int32]int{1: 3, 2: 2, 50: 1} {
		var got []string
		n := 0
		for p := sdk.NewListFunctionEventInvokeConfigsPaginator(w.client, &sdk.ListFunctionEventInvokeConfigsInput{FunctionName: aws.String("f"), MaxItems: &max}); p.HasMorePages(); n++ {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range out.FunctionEventInvokeConfigs {
				got = append(got, shown(c.FunctionArn, c.MaximumRetryAttempts, c.MaximumEventAgeInSeconds, c.DestinationConfig))
			}
		}
		if d := cmp.Diff([]string{":$LATEST retries 1", ":1 retries 1", ":prod retries 1"}, got); d != "" || n != pages {
			t.Errorf("%d pages of %d, -want +got:\n%s", n, max, d)
		}
	}
	list := func(name string, max int32) error {
		_, err := w.client.ListFunctionEventInvokeConfigs(ctx, &sdk.ListFunctionEventInvokeConfigsInput{FunctionName: &name, MaxItems: &max})
		return err
	}
	if err := list("g", 1); err != nil {
		t.Error(err)
	}
	wantError(t, list("nope", 1), 404, "ResourceNotFoundException", "The function doesn't exist.")
	wantError(t, list("f", 51), 400, "ValidationException", "1 validation error detected: Value '51' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 50")
	wantError(t, list("f:prod", 1), 400, "InvalidParameterValueException", wholeOnly().Message)
}

// TestAConfigurationsAnswerIsTheBytesAWSSends compares what the SDK does not
// show: which members are there, and a number as the time.
func TestAConfigurationsAnswerIsTheBytesAWSSends(t *testing.T) {
	w, k := deployed(t)
	const path = "/2019-09-25/functions/f/event-invoke-config"
	resp, body := w.send("PUT", path+"?Qualifier=prod", `{"MaximumRetryAttempts":0}`)
	modified := k.View().EventInvoke("f", "prod").Modified
	want := fmt.Sprintf(`{"LastModified":%s,"FunctionArn":"%s:prod","MaximumRetryAttempts":0,"DestinationConfig":{"OnSuccess":{},"OnFailure":{}}}`, strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", modified.Unix(), modified.Nanosecond()/1e6), "0"), "."), arnF)
	if resp.StatusCode != 200 || body != want {
		t.Errorf("got %d %s, want 200 %s", resp.StatusCode, body, want)
	}
	if resp, body := w.send("DELETE", path+"?Qualifier=prod", ""); resp.StatusCode != 204 || body != "" {
		t.Errorf("got %d %q, want 204", resp.StatusCode, body)
	}
	if resp, body := w.send("GET", path+"/list", ""); resp.StatusCode != 200 || body != `{"NextMarker":null,"FunctionEventInvokeConfigs":[]}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, body := w.send("GET", path, ""); resp.StatusCode != 404 || body != `{"Type":"User","Message":"The function `+arnF+`:$LATEST doesn't have an EventInvokeConfig"}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

func TestRecursionIsReadAndSetForAFunction(t *testing.T) {
	w, k := deployed(t)
	ctx := context.Background()
	get := func(name string) (types.RecursiveLoop, error) {
		out, err := w.client.GetFunctionRecursionConfig(ctx, &sdk.GetFunctionRecursionConfigInput{FunctionName: &name})
		if err != nil {
			return "", err
		}
		return out.RecursiveLoop, nil
	}
	put := func(name string, mode types.RecursiveLoop) error {
		out, err := w.client.PutFunctionRecursionConfig(ctx, &sdk.PutFunctionRecursionConfigInput{FunctionName: &name, RecursiveLoop: mode})
		if err == nil && out.RecursiveLoop != mode {
			err = errors.New("got " + string(out.RecursiveLoop))
		}
		return err
	}
	if got, err := get("f"); err != nil || got != types.RecursiveLoopTerminate {
		t.Errorf("got %s, %v, want the default", got, err)
	}
	for _, mode := range []types.RecursiveLoop{types.RecursiveLoopAllow, types.RecursiveLoopTerminate, types.RecursiveLoopAllow} {
		if err := put(arnF, mode); err != nil {
			t.Error(err)
		}
		if got, err := get("f"); err != nil || got != mode || k.View().Recursion("f") != string(mode) {
			t.Errorf("got %s, %v, want %s", got, err, mode)
		}
	}
	wantError(t, put("f", "Maybe"), 400, "ValidationException", "1 validation error detected: Value 'Maybe' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: [Terminate, Allow]")
	wantError(t, put("nope", "Allow"), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope")
	wantError(t, put("f:prod", "Allow"), 400, "ValidationException", "1 validation error detected: Value 'f:prod' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: "+unqualifiedName.text)
	_, err := get("nope")
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope")
	if resp, body := w.send("PUT", "/2024-08-31/functions/f/recursion-config", "{}"); resp.StatusCode != 400 || body != `{"message":"1 validation error detected: Value null at 'recursiveLoop' failed to satisfy constraint: Member must not be null"}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if resp, body := w.send("PUT", "/2024-08-31/functions/f/recursion-config", "{"); resp.StatusCode != 400 || body != `{"Type":"User","message":"Could not parse request body into json."}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// failing are settings that cannot be written.
type failing struct{ err error }

func (f failing) ChangeEventInvoke(context.Context, catalog.EventInvokeChange) (*catalog.EventInvokeConfig, error) {
	return nil, f.err
}

func (f failing) SetRecursion(context.Context, string, string) error { return f.err }

func TestASettingThatCannotBeWrittenIsAnErrorOfTheAPI(t *testing.T) {
	w, k := deployed(t)
	if _, err := w.put(sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	remove := func() error {
		_, err := w.client.DeleteFunctionEventInvokeConfig(context.Background(), &sdk.DeleteFunctionEventInvokeConfigInput{FunctionName: aws.String("f")})
		return err
	}
	put := func() error {
		_, err := w.put(sdk.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: aws.Int32(1)})
		return err
	}
	w.serve(Config{View: k.View, Concurrency: k, Settings: failing{&daruma.Error{Kind: daruma.KindFull, Err: errors.New("the disk is nearly full")}}})
	wantError(t, put(), 500, "ServiceException", "the disk is nearly full")
	wantError(t, remove(), 500, "ServiceException", "the disk is nearly full")
	_, err := w.client.PutFunctionRecursionConfig(context.Background(), &sdk.PutFunctionRecursionConfigInput{FunctionName: aws.String("f"), RecursiveLoop: "Allow"})
	wantError(t, err, 500, "ServiceException", "the disk is nearly full")
	// Another request was faster.
	w.serve(Config{View: k.View, Concurrency: k, Settings: failing{&daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("it has none")}}})
	wantError(t, remove(), 404, "ResourceNotFoundException", "The function "+arnF+":$LATEST doesn't have an EventInvokeConfig")
	wantError(t, put(), 404, "ResourceNotFoundException", "it has none")
}

func TestADeadLetterTargetIsToldOfEachVersion(t *testing.T) {
	w := newWorld(t)
	w.fs[1].DeadLetter = "arn:aws:sqs:us-east-1:000000000000:q"
	for qualifier, want := range map[string]string{"1": "arn:aws:sqs:us-east-1:000000000000:q", "2": ""} {
		out, err := w.client.GetFunctionConfiguration(context.Background(), &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("f"), Qualifier: &qualifier})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if out.DeadLetterConfig != nil {
			got = *out.DeadLetterConfig.TargetArn
		}
		if got != want {
			t.Errorf("version %s: got %q, want %q", qualifier, got, want)
		}
	}
}
