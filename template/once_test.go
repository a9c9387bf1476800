package template

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/once"
)

func TestWhichEventsAreTheSameIsReadFromMetadata(t *testing.T) {
	with := func(rule string) string {
		return strings.Replace(sam+function("F"), "  F:\n", "  F:\n    Metadata: { Daruma: { Idempotency: "+rule+" } }\n", 1)
	}
	for rule, want := range map[string]*once.Rule{
		"{ Key: $.order.id }":               {Path: "$.order.id", For: time.Hour},
		"{ Key: $.order.id, Expires: 24h }": {Path: "$.order.id", For: 24 * time.Hour},
	} {
		if diff := cmp.Diff(want, loads(t, with(rule)).Functions[0].Once); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rule, diff)
		}
	}
	wrong(t, []line{
		{"no key", with("{ Expires: 1h }"), "missing required property 'Metadata.Daruma.Idempotency.Key'"},
		{"a path that is none", with("{ Key: $..id }"), "a path is like $.order.id"},
		{"a duration that is none", with("{ Key: $.id, Expires: soon }"), "must be a duration, not soon"},
		{"too long", with("{ Key: $.id, Expires: 9000h }"), "from a second to 90 days"},
		{"another word", with("{ Key: $.id, Expire: 1h }"), "property 'Metadata.Daruma.Idempotency.Expire' is not defined"},
		{"of the app", "Metadata: { Daruma: { Idempotency: { Key: $.id } } }\n" + sam + function("F"), "property 'Metadata.Daruma.Idempotency' is not defined"},
	})
}
