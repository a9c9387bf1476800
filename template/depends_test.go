package template

import (
	"strings"
	"testing"
)

func TestWhatEventsDependOnIsReadFromMetadata(t *testing.T) {
	with := func(daruma string) string {
		return strings.Replace(sam+function("F"), "  F:\n", "  F:\n    Metadata: { Daruma: { "+daruma+" } }\n", 1)
	}
	if got := loads(t, with("Dependency: { Key: $.tenant }")).Functions[0].Dependency; got != "$.tenant" {
		t.Errorf("the path is %q", got)
	}
	if got := loads(t, sam+function("F")).Functions[0].Dependency; got != "" {
		t.Errorf("without it the path is %q", got)
	}
	if got := loads(t, with("Sensitive: [$.tenantName], Dependency: { Key: $.tenant }")).Functions[0].Dependency; got != "$.tenant" {
		t.Errorf("beside a sensitive value the path is %q", got)
	}
	wrong(t, []line{
		{"no key", with("Dependency: {}"), "missing required property 'Metadata.Daruma.Dependency.Key'"},
		{"a path that is none", with("Dependency: { Key: $..tenant }"), "a path is like $.tenant"},
		{"another word", with("Dependency: { Key: $.tenant, Most: 3 }"), "property 'Metadata.Daruma.Dependency.Most' is not defined"},
		{"what nobody may see", with("Sensitive: [$.tenant], Dependency: { Key: $.tenant }"), "is shown to people, and $.tenant is declared sensitive"},
		{"what lies in it, in a message", with("Sensitive: [customer], Dependency: { Key: $.body.customer.id }"), "is shown to people, and customer is declared sensitive"},
		{"of the app", "Metadata: { Daruma: { Dependency: { Key: $.tenant } } }\n" + sam + function("F"), "property 'Metadata.Daruma.Dependency' is not defined"},
	})
}
