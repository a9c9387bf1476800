package wire

import (
	"testing"
	"time"
)

func FuzzAStampIsReadAsAnyTimeIs(f *testing.F) {
	for _, s := range []string{"20150830T123600Z", "20240229T000000Z", "20230229T000000Z", "20150830T123660Z", "20150830T243600Z", "20151330T123600Z", "20150832T123600Z", "20150830T123600.5Z", "20150830t123600Z", "2015083 T123600Z", "00000101T000000Z", "99991231T235959Z", "", "Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseStamp(s)
		want, wrong := time.Parse(amzTime, s)
		if (err == nil) != (wrong == nil) || !got.Equal(want) {
			t.Errorf("%q: got %v (%v), want %v (%v)", s, got, err, want, wrong)
		}
	})
}
