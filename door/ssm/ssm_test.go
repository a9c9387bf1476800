package ssm_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/door/ssm"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/door/wire/wiretest"
	"github.com/daruma-io/daruma/parameter"
)

// keys is the tests' one credential.
type keys struct{}

func (keys) Credential(accessKey string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDA", Account: "000000000000"}}, accessKey == "AKID"
}

// newWorld returns a client of a door on a real listener, and its address.
func newWorld(t testing.TB) (*sdk.Client, string) {
	t.Helper()
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{parameter.NewMachine()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	door, err := ssm.New(ssm.Config{Parameters: parameter.New(c), Place: catalog.Place{Region: "us-east-1", Account: "000000000000"}})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("ssm", door.Service())
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
	})}), server.URL
}

func put(t *testing.T, c *sdk.Client, in *sdk.PutParameterInput) *sdk.PutParameterOutput {
	t.Helper()
	out, err := c.PutParameter(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(name, value string) *sdk.PutParameterInput {
	return &sdk.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}
}

func TestAParameterIsPutReadInItsVersionsAndDeleted(t *testing.T) {
	c, _ := newWorld(t)
	if out := put(t, c, text("/app/a", "1")); out.Version != 1 || out.Tier != types.ParameterTierStandard {
		t.Errorf("got %+v", out)
	}
	second := text("/app/a", "2")
	second.Overwrite, second.Description = aws.Bool(true), aws.String("what it is")
	put(t, c, second)
	const arn = "arn:aws:ssm:us-east-1:000000000000:parameter/app/a"
	for name, want := range map[string]string{"/app/a": "2", "/app/a:1": "1", "/app/a:2": "2", arn: "2", arn + ":1": "1"} {
		out, err := c.GetParameter(t.Context(), &sdk.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := out.Parameter
		_, selector, _ := strings.Cut(strings.TrimPrefix(name, "arn:aws:ssm:us-east-1:000000000000:"), ":")
		if *p.Value != want || *p.ARN != arn || *p.Name != "/app/a" || p.Type != types.ParameterTypeString || p.LastModifiedDate.IsZero() || *p.DataType != "text" || strings.TrimPrefix(aws.ToString(p.Selector), ":") != selector {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	history, err := c.GetParameterHistory(t.Context(), &sdk.GetParameterHistoryInput{Name: aws.String("/app/a")})
	if err != nil || len(history.Parameters) != 2 || *history.Parameters[0].Value != "1" || *history.Parameters[1].Description != "what it is" || *history.Parameters[1].LastModifiedUser != "arn:aws:iam::000000000000:user/operator" {
		t.Errorf("got %+v, %v", history, err)
	}
	if _, err := c.DeleteParameter(t.Context(), &sdk.DeleteParameterInput{Name: aws.String("/app/a")}); err != nil {
		t.Error(err)
	}
	some, err := c.GetParameters(t.Context(), &sdk.GetParametersInput{Names: []string{"/app/a", "b"}})
	if diff := cmp.Diff([]string{"/app/a", "b"}, some.InvalidParameters); err != nil || diff != "" || len(some.Parameters) != 0 {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestParametersAreFoundByPathAndByWhatTheyAre(t *testing.T) {
	c, _ := newWorld(t)
	for _, name := range []string{"/app/a", "/app/b", "/app/in/c", "/other/d", "plain"} {
		put(t, c, text(name, "v "+name))
	}
	list := &sdk.PutParameterInput{Name: aws.String("/app/list"), Type: types.ParameterTypeStringList, Value: aws.String("x,y"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("pay")}}}
	put(t, c, list)
	byPath := func(in *sdk.GetParametersByPathInput) (names []string) {
		t.Helper()
		for pages := sdk.NewGetParametersByPathPaginator(c, in); pages.HasMorePages(); {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range out.Parameters {
				names = append(names, *p.Name)
			}
		}
		return names
	}
	if diff := cmp.Diff([]string{"/app/a", "/app/b", "/app/list"}, byPath(&sdk.GetParametersByPathInput{Path: aws.String("/app"), MaxResults: aws.Int32(1)})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/app/a", "/app/b", "/app/in/c", "/app/list", "/other/d"}, byPath(&sdk.GetParametersByPathInput{Path: aws.String("/"), Recursive: aws.Bool(true), MaxResults: aws.Int32(2)})); diff != "" {
		t.Error(diff)
	}
	for _, is := range []struct {
		key, option string
		values      []string
		want        string
	}{
		{"Name", "", []string{"plain"}, "plain"}, {"Name", "BeginsWith", []string{"/app"}, "/app/a /app/b /app/in/c /app/list"}, {"Name", "Contains", []string{"the"}, "/other/d"},
		{"Type", "", []string{"StringList"}, "/app/list"}, {"Path", "", []string{"/app"}, "/app/a /app/b /app/list"}, {"Path", "Recursive", []string{"/app/in", "/other"}, "/app/in/c /other/d"},
		{"tag:team", "", []string{"pay"}, "/app/list"}, {"tag:team", "", []string{"x"}, ""}, {"Tier", "", []string{"Standard"}, "/app/a /app/b /app/in/c /app/list /other/d plain"},
	} {
		f := types.ParameterStringFilter{Key: &is.key, Values: is.values}
		if is.option != "" {
			f.Option = &is.option
		}
		out, err := c.DescribeParameters(t.Context(), &sdk.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{f}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range out.Parameters {
			names = append(names, *p.Name)
		}
		if got := strings.Join(names, " "); got != is.want {
			t.Errorf("%s %s %v: got %s, want %s", is.key, is.option, is.values, got, is.want)
		}
	}
	if _, err := c.AddTagsToResource(t.Context(), &sdk.AddTagsToResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: aws.String("plain"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}); err != nil {
		t.Error(err)
	}
	tags, err := c.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: aws.String("plain")})
	if err != nil || len(tags.TagList) != 1 || *tags.TagList[0].Value != "v" {
		t.Errorf("got %+v, %v", tags, err)
	}
	gone, err := c.DeleteParameters(t.Context(), &sdk.DeleteParametersInput{Names: []string{"plain", "none"}})
	if err != nil || cmp.Diff([]string{"plain"}, gone.DeletedParameters)+cmp.Diff([]string{"none"}, gone.InvalidParameters) != "" {
		t.Errorf("got %+v, %v", gone, err)
	}
}

func TestTheGoSDKIsRefusedInTheServicesWords(t *testing.T) {
	c, _ := newWorld(t)
	put(t, c, text("there", "1"))
	pattern := text("fits", "1")
	pattern.AllowedPattern = aws.String("^[0-9]$")
	put(t, c, pattern)
	refused := func(in *sdk.PutParameterInput) error {
		_, err := c.PutParameter(t.Context(), in)
		return err
	}
	change := func(in *sdk.PutParameterInput, f func(*sdk.PutParameterInput)) error { f(in); return refused(in) }
	get := func(name string) error {
		_, err := c.GetParameter(t.Context(), &sdk.GetParameterInput{Name: &name})
		return err
	}
	_, deleted := c.DeleteParameter(t.Context(), &sdk.DeleteParameterInput{Name: aws.String("none")})
	_, many := c.GetParameters(t.Context(), &sdk.GetParametersInput{Names: strings.Fields(strings.Repeat("a ", 11))})
	_, path := c.GetParametersByPath(t.Context(), &sdk.GetParametersByPathInput{Path: aws.String("app")})
	_, size := c.GetParametersByPath(t.Context(), &sdk.GetParametersByPathInput{Path: aws.String("/app"), MaxResults: aws.Int32(11)})
	_, label := c.LabelParameterVersion(t.Context(), &sdk.LabelParameterVersionInput{Name: aws.String("there"), Labels: []string{"x"}})
	_, filter := c.DescribeParameters(t.Context(), &sdk.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("KeyId"), Values: []string{"x"}}}})
	for i, is := range []struct {
		err           error
		code, message string
	}{
		{get("none"), "ParameterNotFound", "Parameter none not found."},
		{get("there:7"), "ParameterVersionNotFound", "Systems Manager could not find version 7 of there. Verify the version and try again."},
		{deleted, "ParameterNotFound", "Parameter none not found."},
		{refused(text("there", "2")), "ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."},
		{change(text("there", "2"), func(in *sdk.PutParameterInput) { in.Overwrite, in.Type = aws.Bool(true), types.ParameterTypeStringList }), "HierarchyTypeMismatchException", "Parameter Store doesn't support changing a parameter type"},
		{change(text("fits", "x"), func(in *sdk.PutParameterInput) { in.Overwrite = aws.Bool(true) }), "ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: ^[0-9]$"},
		{change(text("x", "1"), func(in *sdk.PutParameterInput) { in.AllowedPattern = aws.String("(") }), "InvalidAllowedPatternException", ""},
		{change(text("x", "1"), func(in *sdk.PutParameterInput) { in.Type = "" }), "ValidationException", "A parameter type is required when you create a parameter."},
		{change(text("x", "1"), func(in *sdk.PutParameterInput) { in.Type = types.ParameterTypeSecureString }), "ValidationException", "SecureString is not supported here"},
		{refused(text("x", strings.Repeat("v", 4097))), "ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters."},
		{refused(text("ssmx", "1")), "ValidationException", `Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`},
		{refused(text("/aws/x", "1")), "ValidationException", `Parameter name: can't be prefixed with "ssm"`},
		{refused(text("a b", "1")), "ValidationException", "Parameter name must be a fully qualified name."},
		{refused(text(strings.Repeat("/a", 16), "1")), "HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of 15 levels."},
		{change(text("there", "1"), func(in *sdk.PutParameterInput) {
			in.Overwrite, in.Tags = aws.Bool(true), []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
		}), "ValidationException", "Invalid request: tags and overwrite can't be used together."},
		{change(text("x", "1"), func(in *sdk.PutParameterInput) { in.Policies = aws.String(`[{"Type":"Expiration"}]`) }), "UnsupportedOperation", "Policies of parameters are not supported here"},
		{many, "ValidationException", "failed to satisfy constraint: Member must have length less than or equal to 10"},
		{path, "ValidationException", `The parameter name must begin with a forward slash "/".`},
		{size, "ValidationException", "Value '11' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 10"},
		{label, "UnknownOperationException", "LabelParameterVersion is not supported here"},
		{filter, "InvalidFilterKey", ""},
	} {
		e, ok := errors.AsType[smithy.APIError](is.err)
		if !ok || e.ErrorCode() != is.code || !strings.Contains(e.ErrorMessage(), is.message) {
			t.Errorf("%d: got %v, want %s: %s", i, is.err, is.code, is.message)
		}
	}
}

func TestALargeValueIsInTheAdvancedTier(t *testing.T) {
	c, _ := newWorld(t)
	large := text("large", strings.Repeat("v", 8192))
	large.Tier = types.ParameterTierIntelligentTiering
	if out := put(t, c, large); out.Tier != types.ParameterTierAdvanced {
		t.Errorf("got %s", out.Tier)
	}
	again := text("large", strings.Repeat("w", 5000))
	again.Overwrite = aws.Bool(true)
	if out := put(t, c, again); out.Tier != types.ParameterTierAdvanced || out.Version != 2 {
		t.Errorf("got %+v", out)
	}
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	_, url := newWorld(t)
	wiretest.CLI(t, url, "ssm", []wiretest.Step{
		{Args: []string{"put-parameter", "--name", "/cli/a", "--type", "String", "--value", "hello"}, Want: `"Version": 1`},
		{Args: []string{"get-parameter", "--name", "/cli/a"}, Want: `"Value": "hello"`},
		{Args: []string{"get-parameters-by-path", "--path", "/cli"}, Want: `"Name": "/cli/a"`},
		{Args: []string{"get-parameter", "--name", "/cli/b"}, Want: "An error occurred (ParameterNotFound) when calling the GetParameter operation: Parameter /cli/b not found.", Fail: true},
		{Args: []string{"describe-parameters"}, Want: `"Tier": "Standard"`},
		{Args: []string{"delete-parameter", "--name", "/cli/a"}},
	})
}

// FuzzWhateverIsAskedIsAnswered sends what is no request of an SDK's.
func FuzzWhateverIsAskedIsAnswered(f *testing.F) {
	for _, body := range []string{`{}`, `{"Name":"a"}`, `{"Names":[]}`, `{"Path":"/","ParameterFilters":[{"Key":"Path"}]}`, `{"MaxResults":-1}`, `[`, `{"Tags":[{}]}`, `{"Name":"arn:"}`} {
		f.Add(body)
	}
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{parameter.NewMachine()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	door, err := ssm.New(ssm.Config{Parameters: parameter.New(c), Place: catalog.Place{Region: "us-east-1", Account: "000000000000"}})
	if err != nil {
		f.Fatal(err)
	}
	names := strings.Fields("GetParameter GetParameters GetParametersByPath GetParameterHistory DescribeParameters PutParameter DeleteParameter DeleteParameters AddTagsToResource RemoveTagsFromResource ListTagsForResource")
	f.Fuzz(func(t *testing.T, body string) {
		for _, name := range names {
			r := httptest.NewRequest("POST", "/", nil)
			r.Header.Set("X-Amz-Target", "AmazonSSM."+name)
			w := httptest.NewRecorder()
			door.ServeAWS(w, &wire.Request{HTTP: r, Body: []byte(body), Service: "ssm"})
			var is map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &is); err != nil || w.Code >= 500 {
				t.Fatalf("%s %q: got %d %q, %v", name, body, w.Code, w.Body, err)
			}
		}
	})
}
