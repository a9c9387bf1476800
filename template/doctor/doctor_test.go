package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/template/doctor"
	"github.com/daruma-io/daruma/template/wiring"
	"github.com/daruma-io/daruma/template/wiring/wiringtest"
)

const head = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Handler: index.handler } }
Resources:
`

func found(m *wiring.Map, rule string, exercised ...doctor.Exercise) (all []doctor.Finding) {
	for _, f := range doctor.Examine(m, exercised) {
		if f.Rule == rule {
			all = append(all, f)
		}
	}
	return all
}

// A REST API waits for 29 seconds and an HTTP API for 30, unless they are told
// otherwise.
func TestAnAPIWaitsForAsLongAsItsKindDoes(t *testing.T) {
	for _, c := range []struct {
		kind, timeout string
		want          string // in the message; "" finds nothing
		fix           string
	}{
		{"Api", "30", "waits for 29s", "Timeout: 28"},
		{"Api", "29", "", ""},
		{"HttpApi", "30", "", ""},
		{"HttpApi", "31", "waits for 30s", "Timeout: 29"},
	} {
		m := wiringtest.Read(t, head+`
  F:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Timeout: `+c.timeout+`, Events: { E: { Type: `+c.kind+`, Properties: { Path: /f, Method: get } } } }
`)
		got := found(m, "gateway-timeout")
		if c.want == "" && len(got) == 0 {
			continue
		}
		if c.want == "" || len(got) != 1 || !strings.Contains(got[0].Message, c.want) || got[0].Fix != c.fix {
			t.Errorf("%s with %s seconds: got %+v, want one that %s", c.kind, c.timeout, got, c.want)
		}
	}
}

// An address that ends like the name of a queue or a topic is a host.
func TestAnAddressIsNoQueueOfItsLastName(t *testing.T) {
	m := wiringtest.Read(t, head+`
  Q: { Type: AWS::SQS::Queue, Properties: { QueueName: orders } }
  T: { Type: AWS::SNS::Topic, Properties: { TopicName: prices } }
  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Environment: { Variables: { VA: "https://shop.example/v1/orders", VB: "https://feed.example/prices", VC: !Ref Q, VD: !Ref T, VE: !GetAtt Q.Arn } }
  G:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Environment: { Variables: { VA: orders, VB: prices } }
`)
	for function, want := range map[string][]string{"F": {"host shop.example", "host feed.example", "queue Q", "topic T"}, "G": {"queue Q", "topic T"}} {
		var got []string
		for _, n := range m.Function(function).Needs {
			got = append(got, n.Kind+" "+n.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s needs %q, want %q", function, got, want)
		}
	}
}

// What an experiment takes away is what its fault means: patterns too, and not
// what only makes it slower.
func TestADependencyIsExercisedByWhatTakesItAway(t *testing.T) {
	m := wiringtest.Read(t, head+`
  T: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: things } }
  F:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: x, Environment: { Variables: { VA: "https://bank.example.com/v1", VB: !Ref T } } }
`)
	for _, c := range []struct {
		fault doctor.Exercise
		left  []string
	}{
		{doctor.Exercise{}, []string{"bank.example.com", "T"}},
		{doctor.Exercise{Kind: "refused", Host: "bank.example.com"}, []string{"T"}},
		{doctor.Exercise{Kind: "refused", Host: "*.example.com", Function: "F"}, []string{"T"}},
		{doctor.Exercise{Kind: "dns", HostRegex: `^bank\.`}, []string{"T"}},
		{doctor.Exercise{Kind: "refused", Host: "bank.example.com", Function: "G"}, []string{"bank.example.com", "T"}},
		{doctor.Exercise{Kind: "latency", Host: "bank.example.com"}, []string{"bank.example.com", "T"}},
		{doctor.Exercise{Kind: "slow", Host: "bank.example.com"}, []string{"bank.example.com", "T"}},
		{doctor.Exercise{Kind: "error", Service: "dynamodb", Resource: "thin*", Function: "*"}, []string{"bank.example.com"}},
		{doctor.Exercise{Kind: "error", Service: "*", Resource: "*"}, []string{"bank.example.com"}},
		{doctor.Exercise{Kind: "error", Service: "dynamodb", Resource: "others"}, []string{"bank.example.com", "T"}},
		{doctor.Exercise{Kind: "latency", Service: "dynamodb"}, []string{"bank.example.com", "T"}},
	} {
		got := found(m, "never-exercised", c.fault)
		same := len(got) == len(c.left)
		for _, id := range c.left {
			same = same && slices.ContainsFunc(got, func(f doctor.Finding) bool { return strings.HasSuffix(f.Message, " "+id) })
		}
		if !same {
			t.Errorf("%+v: got %+v, want %q", c.fault, got, c.left)
		}
	}
}
