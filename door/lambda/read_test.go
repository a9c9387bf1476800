package lambda

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daruma-io/daruma/catalog"
)

// shapeOptions compares the SDK's types by what they hold.
var shapeOptions = cmp.Options{cmpopts.IgnoreUnexported(types.FunctionConfiguration{}, types.EnvironmentResponse{}, types.TracingConfigResponse{}, types.Layer{}, types.EphemeralStorage{}, types.SnapStartResponse{}, types.LoggingConfig{}, types.Concurrency{}, types.FunctionCodeLocation{}, types.AliasConfiguration{}, types.AliasRoutingConfiguration{}, types.LayersListItem{}, types.LayerVersionsListItem{}, types.FunctionUrlConfig{}, types.Cors{}, types.AccountLimit{}, types.AccountUsage{}, types.LayerVersionContentOutput{}, types.VpcConfigResponse{})}

const arnF = "arn:aws:lambda:us-east-1:000000000000:function:f"

func TestGetFunctionTellsEverythingTheCatalogKnows(t *testing.T) {
	w := newWorld(t)
	w.reserve("f", aws.Int(5))
	out, err := w.client.GetFunction(context.Background(), &sdk.GetFunctionInput{FunctionName: aws.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	want := &types.FunctionConfiguration{
		FunctionName: aws.String("f"), FunctionArn: aws.String(arnF), Runtime: "nodejs22.x", Role: aws.String("arn:aws:iam::000000000000:role/r"),
		Handler: aws.String("index.handler"), CodeSize: 1234, CodeSha256: aws.String("c2hh"), Description: aws.String("the <main> one"),
		Timeout: aws.Int32(3), MemorySize: aws.Int32(128), LastModified: aws.String("2026-03-01T12:00:00.123+0000"), Version: aws.String("$LATEST"),
		Environment: &types.EnvironmentResponse{Variables: map[string]string{"A": "1 & 2"}}, TracingConfig: &types.TracingConfigResponse{Mode: "Active"},
		RevisionId: aws.String("rev-f$LATEST"), Layers: []types.Layer{{Arn: aws.String("arn:aws:lambda:us-east-1:000000000000:layer:base:1"), CodeSize: 10}},
		State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip", Architectures: []types.Architecture{"x86_64"},
		EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(512)}, SnapStart: &types.SnapStartResponse{ApplyOn: "None", OptimizationStatus: "Off"},
		LoggingConfig: &types.LoggingConfig{LogFormat: "JSON", ApplicationLogLevel: "WARN", LogGroup: aws.String("/aws/lambda/f")},
		VpcConfig:     &types.VpcConfigResponse{SubnetIds: []string{"subnet-1", "subnet-2"}, SecurityGroupIds: []string{"sg-1"}, VpcId: aws.String("vpc-8ef7f0c37a8bb5530"), Ipv6AllowedForDualStack: aws.Bool(true)},
	}
	if d := cmp.Diff(want, out.Configuration, shapeOptions); d != "" {
		t.Errorf("configuration, -want +got:\n%s", d)
	}
	if out.Code == nil || out.Code.Location != nil || out.Tags["team"] != "a" || *out.Concurrency.ReservedConcurrentExecutions != 5 {
		t.Errorf("got code %+v, tags %v, concurrency %+v", out.Code, out.Tags, out.Concurrency)
	}
}

func TestAFunctionsARNIsQualifiedAsItWasAskedFor(t *testing.T) {
	w := newWorld(t)
	for qualifier, want := range map[string]string{"": "", "$LATEST": ":$LATEST", "1": ":1", "prod": ":prod"} {
		in := &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("f")}
		if qualifier != "" {
			in.Qualifier = &qualifier
		}
		out, err := w.client.GetFunctionConfiguration(context.Background(), in)
		if err != nil || *out.FunctionArn != arnF+want {
			t.Errorf("%q: got %v, %v, want %s", qualifier, out, err, want)
		}
	}
	_, err := w.client.GetFunctionConfiguration(context.Background(), &sdk.GetFunctionConfigurationInput{FunctionName: aws.String("nope")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope")
}

func TestTheSDKsWaitersSeeAnActiveFunction(t *testing.T) {
	w := newWorld(t)
	if err := sdk.NewFunctionActiveV2Waiter(w.client).Wait(context.Background(), &sdk.GetFunctionInput{FunctionName: aws.String("f")}, 5e9); err != nil {
		t.Error(err)
	}
	if err := sdk.NewFunctionUpdatedV2Waiter(w.client).Wait(context.Background(), &sdk.GetFunctionInput{FunctionName: aws.String("f")}, 5e9); err != nil {
		t.Error(err)
	}
}

func TestListFunctionsLeavesStatesOutAndListsVersionsOnlyWhenAsked(t *testing.T) {
	w := newWorld(t)
	list := func(all types.FunctionVersion) string {
		out, err := w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{FunctionVersion: all})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range out.Functions {
			names = append(names, strings.TrimPrefix(*f.FunctionArn, "arn:aws:lambda:us-east-1:000000000000:function:"))
			if f.State != "" || f.LastUpdateStatus != "" {
				t.Errorf("got state %q %q in a list", f.State, f.LastUpdateStatus)
			}
		}
		return strings.Join(names, " ")
	}
	if got, want := list(""), "f g locked"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := list("ALL"), "f:$LATEST f:1 f:2 g:$LATEST locked:$LATEST"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err := w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{MasterRegion: aws.String("us-east-1")})
	wantError(t, err, 400, "UnsupportedOperationException", "MasterRegion is not supported here: no function is replicated to an edge location.")
}

func TestAListIsPagedWithoutRepeatingOrSkipping(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		f := *w.fs[3]
		f.Name, f.Version = fmt.Sprintf("many-%03d", i), catalog.Latest
		w.fs = append(w.fs, &f)
	}
	for i := range 70 {
		f := *w.fs[1]
		f.Version = fmt.Sprint(i + 3)
		w.fs = append(w.fs, &f)
	}
	w.reserve("", nil)
	for max, pages := range map[int32]int{7: 18, 0: 3, 10000: 3} {
		in := &sdk.ListFunctionsInput{}
		if max > 0 {
			in.MaxItems = &max
		}
		seen, n := map[string]int{}, 0
		for p := sdk.NewListFunctionsPaginator(w.client, in); p.HasMorePages(); n++ {
			out, err := p.NextPage(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range out.Functions {
				seen[*f.FunctionName]++
			}
		}
		if len(seen) != 123 || n != pages {
			t.Errorf("MaxItems %d: got %d functions on %d pages, want 123 on %d", max, len(seen), n, pages)
		}
	}
	var versions []string
	for p := sdk.NewListVersionsByFunctionPaginator(w.client, &sdk.ListVersionsByFunctionInput{FunctionName: aws.String("f")}); p.HasMorePages(); {
		out, err := p.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			versions = append(versions, *v.Version)
			if *v.FunctionArn != arnF+":"+*v.Version {
				t.Errorf("got %s", *v.FunctionArn)
			}
		}
	}
	want := []string{"$LATEST"}
	for i := range 72 {
		want = append(want, fmt.Sprint(i+1))
	}
	if d := cmp.Diff(want, versions); d != "" {
		t.Errorf("versions, -want +got:\n%s", d)
	}
}

func TestAMarkerSurvivesTheLossOfWhatItNames(t *testing.T) {
	w := newWorld(t)
	out, err := w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{MaxItems: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	w.fs = append(w.fs[:3:3], w.fs[4]) // g is gone
	w.reserve("", nil)
	out, err = w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{Marker: out.NextMarker})
	if err != nil || len(out.Functions) != 1 || *out.Functions[0].FunctionName != "locked" || out.NextMarker != nil {
		t.Errorf("got %+v, %v, want locked", out, err)
	}
}

func TestBadPagesAreRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{Marker: aws.String("nonsense")})
	wantError(t, err, 400, "InvalidParameterValueException", "Invalid marker.")
	_, err = w.client.ListFunctions(context.Background(), &sdk.ListFunctionsInput{MaxItems: aws.Int32(0)})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1")
	_, err = w.client.ListLayers(context.Background(), &sdk.ListLayersInput{MaxItems: aws.Int32(51)})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value '51' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 50")
}

func TestAliasesAreReadOneByOneAndAsAList(t *testing.T) {
	w := newWorld(t)
	a, err := w.client.GetAlias(context.Background(), &sdk.GetAliasInput{FunctionName: aws.String("f"), Name: aws.String("canary")})
	if err != nil {
		t.Fatal(err)
	}
	if *a.AliasArn != arnF+":canary" || *a.FunctionVersion != "1" || a.RoutingConfig.AdditionalVersionWeights["2"] != 0.25 || *a.RevisionId != "r-canary" {
		t.Errorf("got %+v", a)
	}
	for version, want := range map[string]int{"": 2, "1": 2, "2": 1, "3": 0} {
		in := &sdk.ListAliasesInput{FunctionName: aws.String("f")}
		if version != "" {
			in.FunctionVersion = &version
		}
		out, err := w.client.ListAliases(context.Background(), in)
		if err != nil || len(out.Aliases) != want {
			t.Errorf("version %q: got %+v, %v, want %d", version, out, err, want)
		}
	}
	_, err = w.client.GetAlias(context.Background(), &sdk.GetAliasInput{FunctionName: aws.String("f"), Name: aws.String("nope")})
	wantError(t, err, 404, "ResourceNotFoundException", "Cannot find alias arn: "+arnF+":nope")
	_, err = w.client.GetAlias(context.Background(), &sdk.GetAliasInput{FunctionName: aws.String("f"), Name: aws.String("123")})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value '123' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)")
	_, err = w.client.GetAlias(context.Background(), &sdk.GetAliasInput{FunctionName: aws.String("nope"), Name: aws.String("x")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope")
}

func TestNoFunctionHasAPolicy(t *testing.T) {
	w := newWorld(t)
	_, err := w.client.GetPolicy(context.Background(), &sdk.GetPolicyInput{FunctionName: aws.String("f")})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestReservedConcurrencyIsSetReadAndTakenAway(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	get := func() *int32 {
		out, err := w.client.GetFunctionConcurrency(ctx, &sdk.GetFunctionConcurrencyInput{FunctionName: aws.String("f")})
		if err != nil {
			t.Fatal(err)
		}
		return out.ReservedConcurrentExecutions
	}
	if got := get(); got != nil {
		t.Errorf("got %d, want none", *got)
	}
	for _, n := range []int32{0, 900} {
		out, err := w.client.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: aws.String("f"), ReservedConcurrentExecutions: &n})
		if err != nil || *out.ReservedConcurrentExecutions != n || *get() != n {
			t.Errorf("got %+v, %v, want %d", out, err, n)
		}
	}
	settings, err := w.client.GetAccountSettings(ctx, &sdk.GetAccountSettingsInput{})
	if err != nil || settings.AccountLimit.ConcurrentExecutions != 1000 || *settings.AccountLimit.UnreservedConcurrentExecutions != 100 || settings.AccountUsage.FunctionCount != 3 || settings.AccountUsage.TotalCodeSize != 5*1234 {
		t.Errorf("got %+v %+v, %v", settings.AccountLimit, settings.AccountUsage, err)
	}
	put := func(name string, n int32) error {
		_, err := w.client.PutFunctionConcurrency(ctx, &sdk.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &n})
		return err
	}
	wantError(t, put("g", 1), 400, "InvalidParameterValueException", "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].")
	wantError(t, put("f:prod", 1), 400, "InvalidParameterValueException", "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	wantError(t, put("f", -1), 400, "ValidationException", "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 0")
	wantError(t, put("locked", 0), 409, "ResourceConflictException", "locked: The operation cannot be performed at this time. An update is in progress for resource: locked")
	if _, err := w.client.DeleteFunctionConcurrency(ctx, &sdk.DeleteFunctionConcurrencyInput{FunctionName: aws.String("f")}); err != nil || get() != nil {
		t.Errorf("got %v after taking it away", err)
	}
}

func TestLayersAreListedNewestVersionFirst(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	layers, err := w.client.ListLayers(ctx, &sdk.ListLayersInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(layers.Layers) != 2 || *layers.Layers[0].LayerArn != "arn:aws:lambda:us-east-1:000000000000:layer:base" || layers.Layers[0].LatestMatchingVersion.Version != 2 || *layers.Layers[0].LatestMatchingVersion.CreatedDate != "2026-03-01T12:00:00.123+0000" {
		t.Errorf("got %+v", layers.Layers)
	}
	layers, err = w.client.ListLayers(ctx, &sdk.ListLayersInput{CompatibleRuntime: "nodejs22.x"})
	if err != nil || len(layers.Layers) != 1 {
		t.Errorf("got %+v, %v, want the one that names the runtime", layers, err)
	}
	for _, name := range []string{"base", "arn:aws:lambda:us-east-1:000000000000:layer:base"} {
		var got []int64
		for p := sdk.NewListLayerVersionsPaginator(w.client, &sdk.ListLayerVersionsInput{LayerName: &name, MaxItems: aws.Int32(1)}); p.HasMorePages(); {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range out.LayerVersions {
				got = append(got, v.Version)
			}
		}
		if fmt.Sprint(got) != "[2 1]" {
			t.Errorf("%s: got %v, want [2 1]", name, got)
		}
	}
	one, err := w.client.GetLayerVersion(ctx, &sdk.GetLayerVersionInput{LayerName: aws.String("base"), VersionNumber: aws.Int64(2)})
	if err != nil || *one.Content.CodeSha256 != "c2hhMg==" || one.Content.CodeSize != 20 || *one.LayerVersionArn != "arn:aws:lambda:us-east-1:000000000000:layer:base:2" || one.CompatibleRuntimes[0] != "nodejs22.x" {
		t.Errorf("got %+v, %v", one, err)
	}
	byARN, err := w.client.GetLayerVersionByArn(ctx, &sdk.GetLayerVersionByArnInput{Arn: one.LayerVersionArn})
	if err != nil || byARN.Version != 2 {
		t.Errorf("got %+v, %v", byARN, err)
	}
	_, err = w.client.GetLayerVersion(ctx, &sdk.GetLayerVersionInput{LayerName: aws.String("base"), VersionNumber: aws.Int64(3)})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestFunctionURLsAreDescribed(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	out, err := w.client.GetFunctionUrlConfig(ctx, &sdk.GetFunctionUrlConfigInput{FunctionName: aws.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	if *out.FunctionUrl != "https://abc123.lambda-url.us-east-1.on.aws/" || out.AuthType != "NONE" || out.InvokeMode != "RESPONSE_STREAM" || *out.FunctionArn != arnF || out.Cors.AllowOrigins[0] != "*" || *out.Cors.MaxAge != 60 {
		t.Errorf("got %+v", out)
	}
	list, err := w.client.ListFunctionUrlConfigs(ctx, &sdk.ListFunctionUrlConfigsInput{FunctionName: aws.String("f")})
	if err != nil || len(list.FunctionUrlConfigs) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	_, err = w.client.GetFunctionUrlConfig(ctx, &sdk.GetFunctionUrlConfigInput{FunctionName: aws.String("g")})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
	_, err = w.client.GetFunctionUrlConfig(ctx, &sdk.GetFunctionUrlConfigInput{FunctionName: aws.String("f"), Qualifier: aws.String("prod")})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestTagsAreReadByARN(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	out, err := w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String(arnF)})
	if err != nil || out.Tags["team"] != "a" {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String(arnF + ":prod")})
	wantError(t, err, 400, "InvalidParameterValueException", "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	_, err = w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String("f")})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value 'f' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: "+taggable.text)
}

// TestEveryNameWeAnswerIsOneTheModelHas guards against misspelt members: the
// SDK would ignore them silently.
func TestEveryNameWeAnswerIsOneTheModelHas(t *testing.T) {
	for _, pair := range [][2]any{
		{configuration{}, types.FunctionConfiguration{}},
		{deadLetter{}, types.DeadLetterConfig{}},
		{eventInvoke{}, types.FunctionEventInvokeConfig{}},
		{destinationConfig{}, types.DestinationConfig{}},
		{destination{}, types.OnFailure{}},
		{recursionConfig{}, sdk.GetFunctionRecursionConfigOutput{}},
		{alias{}, types.AliasConfiguration{}},
		{layerItem{}, types.LayerVersionsListItem{}},
		{functionURL{}, types.FunctionUrlConfig{}},
		{cors{}, types.Cors{}},
		{logging{}, types.LoggingConfig{}},
		{snapStart{}, types.SnapStartResponse{}},
		{complete{}, types.InvokeWithResponseStreamCompleteEvent{}},
		{functionAnswer{}, sdk.GetFunctionOutput{}},
	} {
		model := reflect.TypeOf(pair[1])
		for _, f := range reflect.VisibleFields(reflect.TypeOf(pair[0])) {
			if _, ok := model.FieldByName(f.Name); !ok {
				t.Errorf("%T has %s, which %T has not", pair[0], f.Name, pair[1])
			}
		}
	}
}
