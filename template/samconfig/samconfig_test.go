package samconfig

import "testing"

// FuzzOverrides holds that parameter_overrides can be any text.
func FuzzOverrides(f *testing.F) {
	f.Add(`A="x y" B=b ParameterKey=C,ParameterValue=d`)
	f.Add(`A='\`)
	f.Fuzz(func(t *testing.T, text string) {
		c := Config{Params: map[string]string{}}
		c.override(text)
	})
}
