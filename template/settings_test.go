package template

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/template/samconfig"
)

// readBeside reads a template with a daruma.yaml beside it.
func readBeside(t *testing.T, text, settings string) (*App, Problems) {
	t.Helper()
	dir := t.TempDir()
	return load(t.Context(), source{path: dir + "/template.yaml", dir: dir, name: "template.yaml", settings: []byte(settings)}, []byte(text), samconfig.Config{}, Options{StackName: "app"})
}

const declaring = `Metadata:
  Daruma:
    Owner: all@example.com
    Sensitive: [$.token]
    Notify: [ops]
    Channels:
      ops: { Webhook: { URL: https://hooks.example.com/daruma, Secret: env:OPS_SECRET } }
      mail: { Email: { Server: smtp.example.com:587, From: daruma@example.com, To: a@example.com, User: env:U, Password: file:p } }
` + sam + `
  F:
    Type: AWS::Serverless::Function
    Metadata: { Daruma: { Owner: f@example.com, Sensitive: ["$.card.number", "$.items[*].pin"], Correlate: $.orderId, Notify: mail } }
    Properties: { InlineCode: x, Handler: index.handler, Runtime: nodejs22.x }
  G:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Handler: index.handler, Runtime: nodejs22.x }
`

func declaringApp() string { return strings.Replace(declaring, sam, sam+"Resources:", 1) }

func TestWhatIsDeclaredOfAFunctionIsRead(t *testing.T) {
	app := loads(t, declaringApp())
	f, g := app.Functions[0], app.Functions[1]
	got := [][]string{{f.Owner}, f.Sensitive, f.Correlate, f.Notify, {g.Owner}, g.Sensitive, g.Correlate, g.Notify}
	want := [][]string{{"f@example.com"}, {"$.card.number", "$.items[*].pin", "$.token"}, {"$.orderId"}, {"mail"}, {"all@example.com"}, {"$.token"}, nil, {"ops"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	channels := []Channel{
		{Name: "ops", Position: "template.yaml:7:7", Webhook: &Webhook{URL: "https://hooks.example.com/daruma", Secret: "env:OPS_SECRET"}},
		{Name: "mail", Position: "template.yaml:8:7", Email: &Email{Server: "smtp.example.com:587", TLS: "starttls", From: "daruma@example.com", To: []string{"a@example.com"}, User: "env:U", Password: "file:p"}},
	}
	if diff := cmp.Diff(channels, app.Channels); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
}

func TestDarumaYAMLComesBeforeTheTemplateAndTheFunctionBeforeTheApp(t *testing.T) {
	app, problems := readBeside(t, declaringApp(), `
Owner: file@example.com
Sensitive: $.pin
Notify: bell
AllowNotifyTo: [10.0.0.0/8]
Channels:
  ops: { Slack: { URL: env:SLACK } }
  bell: { Command: { Run: [./bell.sh, loud], Timeout: 5 } }
Functions:
  F: { Owner: own@example.com, Notify: [], Correlate: [$.a] }
`)
	if app == nil {
		t.Fatal(problems)
	}
	f, g := app.Functions[0], app.Functions[1]
	got := [][]string{{f.Owner}, f.Sensitive, f.Correlate, f.Notify, {g.Owner}, g.Sensitive, g.Notify, app.AllowNotifyTo}
	want := [][]string{{"own@example.com"}, {"$.card.number", "$.items[*].pin", "$.pin", "$.token"}, {"$.a", "$.orderId"}, nil, {"file@example.com"}, {"$.pin", "$.token"}, {"bell"}, {"10.0.0.0/8"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var names []string
	for _, c := range app.Channels {
		names = append(names, c.Name)
		if c.Name == "ops" && c.Slack == nil {
			t.Errorf("ops is %+v, want that of daruma.yaml", c)
		}
		if c.Name == "bell" && (c.Command == nil || c.Command.Timeout != 5*time.Second) {
			t.Errorf("bell is %+v, want a command of 5 s", c.Command)
		}
	}
	if got := strings.Join(names, " "); got != "ops bell mail" {
		t.Errorf("got the channels %s", got)
	}
}

func TestWithoutAWordTheTerminalIsTold(t *testing.T) {
	app := loads(t, sam+function("F", ""))
	if got := app.Functions[0].Notify; len(got) != 1 || got[0] != TerminalChannel {
		t.Errorf("got %v, want the terminal", got)
	}
}

func TestWhatIsDeclaredWrongIsNamedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ metadata, settings, want string }{
		"an unknown key":               {metadata: "Ownr: a", want: "template.yaml:1:23: property 'Metadata.Daruma.Ownr' is not defined (did you mean Owner?)"},
		"another case":                 {metadata: "owner: a", want: "did you mean Owner?"},
		"a path":                       {metadata: "Sensitive: ['$.a[']", want: "template.yaml:1:35: "},
		"a filter":                     {metadata: "Correlate: '$.a[?(@.b)]'", want: "neither an index nor a name"},
		"no path":                      {metadata: "Sensitive: {a: b}", want: "must be a list"},
		"too many":                     {metadata: "Correlate: [a, b, c, d, e, f, g, h, i]", want: "9 paths are more than 8"},
		"an unknown channel":           {metadata: "Notify: opps, Channels: { ops: { Slack: { URL: env:S } } }", want: `there is no channel "opps" (did you mean ops?)`},
		"no kind":                      {metadata: "Channels: { ops: {} }", want: "it has 0"},
		"two kinds":                    {metadata: "Channels: { ops: { Slack: { URL: env:S }, Command: { Run: [a] } } }", want: "it has 2"},
		"a secret":                     {metadata: "Channels: { ops: { Slack: { URL: 'https://hooks.example.com/T0/CANARY' } } }", want: "says where the secret is"},
		"a URL with a password":        {metadata: "Channels: { ops: { Webhook: { URL: 'https://u:CANARY@example.com' } } }", want: "without a user in it"},
		"a password without TLS":       {metadata: "Channels: { m: { Email: { Server: 'h:25', TLS: none, From: a@b.c, To: a@b.c, User: env:U, Password: env:P } } }", want: "not sent without TLS"},
		"a server without port":        {metadata: "Channels: { m: { Email: { Server: h, From: a@b.c, To: a@b.c } } }", want: "not a host and a port"},
		"no address":                   {metadata: "Channels: { m: { Email: { Server: 'h:1', From: a, To: a@b.c } } }", want: "not a mail address"},
		"the terminal again":           {metadata: "Channels: { terminal: { Command: { Run: [a] } } }", want: "is there already"},
		"networks opened by templates": {metadata: "AllowNotifyTo: 10.0.0.0/8", want: "say it in daruma.yaml"},
		"functions in a template":      {metadata: "Functions: {}", want: "property 'Metadata.Daruma.Functions' is not defined"},
		"an unknown key beside":        {settings: "Owner: a\nNotfy: b\n", want: "daruma.yaml:2:1: property 'Notfy' is not defined (did you mean Notify?)"},
		"what is everything":           {settings: "AllowNotifyTo: [0.0.0.0/0]", want: "daruma.yaml:1:17: 0.0.0.0/0: read what is allowed: that is everything"},
		"an unknown function":          {settings: "Functions:\n  FF: { Owner: a }\n", want: "daruma.yaml:2:3: the template has no function FF"},
		"an unknown key of a function": {settings: "Functions:\n  F: { Ownr: a }\n", want: "daruma.yaml:2:8: property 'Functions.F.Ownr' is not defined (did you mean Owner?)"},
		"a key twice":                  {settings: "Owner: a\nOwner: b\n", want: "daruma.yaml:2:1: duplicate key"},
		"no map":                       {settings: "[a]", want: "must be a map"},
		"no YAML":                      {settings: "a: [", want: "daruma.yaml:"},
	} {
		text := sam + function("F", "")
		if c.metadata != "" {
			text = "Metadata: { Daruma: { " + c.metadata + " } }\n" + text
		}
		app, problems := readBeside(t, text, c.settings)
		if app != nil || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, problems, c.want)
		}
		if strings.Contains(problems.Error(), "CANARY") {
			t.Errorf("%s: the problem shows a secret: %v", name, problems)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("Owner: a\nNotify: [b]\nChannels: { b: { Slack: { URL: env:C } } }\nFunctions: { F: { Sensitive: [$.a] } }\n")
	f.Add("Channels: { b: { Email: { Server: 'a:1', To: [a@b.c], From: a@b.c } } }")
	f.Fuzz(func(t *testing.T, settings string) {
		app, problems := readBeside(t, sam+function("F", ""), settings)
		if app == nil && len(problems) == 0 {
			t.Error("refused without a word")
		}
	})
}
