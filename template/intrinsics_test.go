package template

import (
	"strings"
	"testing"
)

const sections = `Parameters:
  P: { Type: String, Default: p }
  L: { Type: CommaDelimitedList, Default: "a, b,c" }
  N: { Type: Number, Default: 7 }
  E: { Type: String, Default: '' }
Mappings:
  M: { a: { text: t, list: [x, y] } }
Conditions:
  Yes: !Equals [!Ref P, p]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Equals [7, !Ref N]]
  Half: !And [!Condition Yes, !Condition No]
  One: !Or [!Condition No, !Condition Both]
`

func TestFunctionsAreWorkedOut(t *testing.T) {
	for _, c := range []struct{ name, expression, want string }{
		{"Ref of a parameter", "!Ref P", "p"},
		{"Ref of a number", "!Ref N", "7"},
		{"AWS::Region", "!Ref AWS::Region", "us-east-1"},
		{"AWS::AccountId", "!Ref AWS::AccountId", "123456789012"},
		{"AWS::Partition", "!Ref AWS::Partition", "aws"},
		{"AWS::StackName", "!Ref AWS::StackName", "app"},
		{"AWS::URLSuffix", "!Ref AWS::URLSuffix", "amazonaws.com"},
		{"AWS::StackId", "!Select [1, !Split [/, !Ref AWS::StackId]]", "app"},
		{"AWS::NotificationARNs", "!Join ['', !Ref AWS::NotificationARNs]", ""},
		{"Sub", "!Sub 'x-${P}-${AWS::Region}'", "x-p-us-east-1"},
		{"Sub with an attribute", "!Sub '${Logs.Arn}'", "arn:aws:logs:us-east-1:123456789012:log-group:l:*"},
		{"Sub with variables", "!Sub ['${A}${P}', { A: !Ref N }]", "7p"},
		{"Sub's variables come first", "!Sub ['${P}', { P: own }]", "own"},
		{"Sub's escape", "!Sub '${!P} ${P}'", "${P} p"},
		{"Sub with spaces", "!Sub '${ P }'", "p"},
		{"Sub with a dollar sign", "!Sub '$${P}$'", "$p$"},
		{"Join", "!Join ['-', [a, !Ref P, 1]]", "a-p-1"},
		{"Join leaves NoValue out", "!Join [',', [a, !Ref AWS::NoValue, b]]", "a,b"},
		{"Join of a list parameter", "!Join ['|', !Ref L]", "a|b|c"},
		{"Split and Select", "!Select [1, !Split [',', 'a,b']]", "b"},
		{"Select with text", "!Select ['2', !Ref L]", "c"},
		{"If", "!If [Yes, a, !Ref Gone]", "a"},
		{"nested If", "!If [No, a, !If [Both, b, c]]", "b"},
		{"And", "!If [Half, a, b]", "b"},
		{"Or", "!If [One, a, b]", "a"},
		{"FindInMap", "!FindInMap [M, a, text]", "t"},
		{"FindInMap of a list", "!Join ['', !FindInMap [M, !Select [0, [a]], list]]", "xy"},
		{"FindInMap's default", "!FindInMap [M, b, text, { DefaultValue: d }]", "d"},
		{"Base64", "!Base64 hello", "aGVsbG8="},
		{"Cidr", "!Join [' ', !Cidr [10.0.0.0/16, 2, 8]]", "10.0.0.0/24 10.0.1.0/24"},
		{"Cidr of IPv6", "!Select [1, !Cidr ['2001:db8::/56', 2, 64]]", "2001:db8:0:1::/64"},
		{"GetAZs", "!Join [',', !GetAZs '']", "us-east-1a,us-east-1b,us-east-1c"},
		{"GetAZs of a region", "!Select [0, !GetAZs eu-west-1]", "eu-west-1a"},
		{"Length", "!Length [1, 2, 3]", "3"},
		{"ToJsonString", "!ToJsonString { b: [1, true, '<'], a: !Ref P }", `{"b":[1,true,"<"],"a":"p"}`},
		{"long form", "{ 'Fn::Join': ['', [a, { Ref: P }]] }", "ap"},
		{"GetAtt with a dot", "!GetAtt Logs.Arn", "arn:aws:logs:us-east-1:123456789012:log-group:l:*"},
		{"GetAtt as a list", "!GetAtt [Logs, Arn]", "arn:aws:logs:us-east-1:123456789012:log-group:l:*"},
		{"an empty parameter", "!Ref E", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := sections
			if c.name == "If" { // the branch that is not taken names what does not exist
				text += "  Never: !Equals [a, b]\n"
			}
			body := sam + text + function("F", "Environment: { Variables: { V1: "+c.expression+" } }") + "  Logs: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: l } }\n"
			if c.name == "If" {
				body += "  Gone: { Type: AWS::Logs::LogGroup, Condition: Never }\n"
			}
			if got := loads(t, body).Functions[0].Env["V1"]; got != c.want {
				t.Errorf("%s is %q, want %q", c.expression, got, c.want)
			}
		})
	}
}

func TestNoValueRemovesAProperty(t *testing.T) {
	app := loads(t, sam+sections+function("F", "Timeout: !If [No, 30, !Ref AWS::NoValue]", "Environment: { Variables: { A1: !Ref AWS::NoValue, B1: b } }", "Layers: [!Ref AWS::NoValue]"))
	if f := app.Functions[0]; f.Timeout.Seconds() != 3 || len(f.Env) != 1 || f.Layers != nil {
		t.Errorf("got %v, %v, %v; want the default, B1 and no layer", f.Timeout, f.Env, f.Layers)
	}
}

func TestWrongUseOfAFunctionIsRefused(t *testing.T) {
	with := func(expression string) string {
		return sam + sections + function("F", "Environment: { Variables: { V1: "+expression+" } }") + "  Logs: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: l } }\n"
	}
	wrong(t, []line{
		{"unknown tag", with("!Subb x"), "unknown function !Subb (did you mean Sub?)"},
		{"unknown function", with("{ 'Fn::Joi': [a, [b]] }"), "unknown function Fn::Joi (did you mean Fn::Join?)"},
		{"Select beyond the end", with("!Select [3, [a]]"), "Fn::Select cannot select nonexistent value at index 3"},
		{"Select without a number", with("!Select [x, [a]]"), "valid index value"},
		{"no such mapping", with("!FindInMap [M, a, nothing]"), "Unable to get mapping for M::a::nothing"},
		{"unknown attribute", with("!GetAtt Logs.Name"), "resource Logs does not support attribute type Name in Fn::GetAtt"},
		{"GetAtt without an attribute", with("!GetAtt Logs"), "Fn::GetAtt object requires two non-empty parameters"},
		{"Sub with a bad name", with("!Sub '${a-b}'"), "variable names in Fn::Sub syntax"},
		{"Sub of a list", with("!Sub '${L}'"), "${L} in Fn::Sub must be a string, not a list"},
		{"Join of no list", with("!Join [',', abc]"), "Fn::Join needs a list"},
		{"unknown condition", with("!If [Maybe, a, b]"), "Unresolved condition dependency Maybe"},
		{"Equals outside of conditions", with("!Equals [a, b]"), "Fn::Equals may be used in Conditions"},
		{"a variable that is a list", with("!Ref L"), "the environment variable V1 must be a string, not a list"},
		{"Split with nothing", with("!Split ['', a]"), "Fn::Split needs a delimiter"},
		{"Cidr without room", with("!Select [0, !Cidr [10.0.0.0/24, 4, 8]]"), "has no room for 4 blocks"},
		{"resource in a condition", sam + "Conditions: { C: !Equals [!Ref F, x] }\n" + function("F"), "Cannot reference resources in the Conditions block"},
		{"condition of itself", sam + "Conditions: { C: !Not [!Condition C] }\n" + function("F"), "Circular dependency of the condition C"},
		{"extension without its transform", strings.Replace(with("!Length [a]"), "AWS::LanguageExtensions, ", "", 1), "Fn::Length needs the transform AWS::LanguageExtensions"},
		{"a function beside other keys", with("{ 'Fn::Join': ['', []], x: 1 }"), "Fn::Join must stand alone"},
	})
}

func TestForEachIsWrittenOut(t *testing.T) {
	app := loads(t, sam+`Parameters: { Names: { Type: CommaDelimitedList, Default: "a,b-c" } }
Resources:
  Fn::ForEach::Outer:
    - Name
    - !Ref Names
    - Fn::ForEach::Inner:
        - Size
        - ['1', '2']
        - F&{Name}${Size}:
            Type: AWS::Serverless::Function
            Properties:
              Runtime: python3.12
              Handler: ${Name}.handler
              Description: !Sub '${Name} ${Size} ${AWS::Region}'
`)
	var got []string
	for _, f := range app.Functions {
		got = append(got, f.Name+" "+f.Handler+" "+f.Description)
	}
	want := "Fa1 a.handler a 1 us-east-1; Fa2 a.handler a 2 us-east-1; Fbc1 b-c.handler b-c 1 us-east-1; Fbc2 b-c.handler b-c 2 us-east-1"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "; "), want)
	}
	wrong(t, []line{
		{"name without the identifier", sam + "Resources:\n  Fn::ForEach::X: [N, [a, b], { Same: { Type: AWS::Logs::LogGroup } }]\n", `duplicate key "Same"`},
		{"too little", sam + "Resources:\n  Fn::ForEach::X: [N, [a]]\n", "takes a list of 3 elements"},
	})
}

func TestFunctionsCannotGrowWithoutBound(t *testing.T) {
	value := "x"
	for range 40 {
		value = "!Sub ['${a}${a}${a}${a}', { a: " + value + " }]"
	}
	_, problems := read(t, sam+function("F", "Environment: { Variables: { V1: "+value+" } }"), Options{})
	if want := "the value grows beyond"; !strings.Contains(problems.Error(), want) {
		t.Errorf("got %.300v, want %q", problems, want)
	}
}

func TestParametersAreChecked(t *testing.T) {
	one := func(declaration string) string { return "Parameters:\n  P: " + declaration + "\n" + minimal }
	wrong(t, []line{
		{"without a value", one("{ Type: String }"), "Parameters: [P] must have values"},
		{"not allowed", one("{ Type: String, Default: c, AllowedValues: [a, b] }"), "Parameter 'P' must be one of AllowedValues [a, b]"},
		{"not of the pattern", one("{ Type: String, Default: a1, AllowedPattern: '[a-z]+' }"), "Parameter 'P' must match pattern [a-z]+"},
		{"constraint's description", one("{ Type: String, Default: a1, AllowedPattern: '[a-z]+', ConstraintDescription: letters only }"), "failed to satisfy constraint: letters only"},
		{"too short", one("{ Type: String, Default: a, MinLength: 2 }"), "must contain at least 2 characters"},
		{"too long", one("{ Type: String, Default: abc, MaxLength: 2 }"), "must contain at most 2 characters"},
		{"no number", one("{ Type: Number, Default: x }"), "Parameter 'P' must be a number"},
		{"too small", one("{ Type: Number, Default: 1, MinValue: 2 }"), "not less than 2"},
		{"too great", one("{ Type: Number, Default: 3, MaxValue: 2 }"), "not greater than 2"},
		{"list with a word", one("{ Type: List<Number>, Default: '1,x' }"), "Parameter 'P' must be a number"},
		{"unknown type", one("{ Type: Strin, Default: x }"), "Unrecognized parameter type: Strin (did you mean String?)"},
		{"no type", one("{ Default: x }"), "Every Parameters object must contain a Type member."},
		{"unknown property", one("{ Type: String, Defalt: x }"), "Invalid template parameter property 'Defalt' (did you mean Default?)"},
	})
	if loads(t, one("{ Type: Number, Default: 2, MinValue: 2, MaxValue: 2 }")) == nil {
		t.Error("a number at its bounds is refused")
	}
	app, problems := read(t, sam+"Parameters: { P: { Type: 'AWS::SSM::Parameter::Value<String>', Default: /a }, V: { Type: AWS::EC2::VPC::Id, Default: vpc-1 }, S: { Type: String, NoEcho: true } }\n"+
		function("F", "Environment: { Variables: { P1: !Ref P } }"), Options{Params: map[string]string{"P": "given", "S": "hidden"}})
	if app == nil || app.Functions[0].Env["P1"] != "given" || app.Parameters[2].Value != "****" || len(app.Unsupported) != 0 {
		t.Errorf("got %v %v, want the given value and a hidden one", app, problems)
	}
	if _, problems = read(t, minimal, Options{Params: map[string]string{"Nope": "x"}}); !strings.Contains(problems.Error(), "Parameters: [Nope] do not exist in the template") {
		t.Errorf("got %v, want the unknown parameter refused", problems)
	}
}

func TestScalarsKeepTheirText(t *testing.T) {
	for expression, want := range map[string]string{
		"2012-10-17": "2012-10-17", "1.10": "1.10", "0777": "0777", "yes": "true", "Off": "false", "y": "y", "12345678901234567890": "12345678901234567890",
		"'yes'": "yes", "1e3": "1e3", "0x1F": "0x1F", "!!str 5": "5", "12:30:45": "12:30:45", "1_000": "1_000", "~x": "~x",
	} {
		if got := value(t, expression, ""); got != want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
	app := loads(t, sam+function("F", "Environment: { Variables: { V1: 0777 } }"))
	if len(app.Warnings) != 1 || !strings.Contains(app.Warnings[0].Message, "0777") {
		t.Errorf("got %v, want a warning about 0777", app.Warnings)
	}
}
