package template

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// ids are lower-case letters and digits, as API Gateway's and Lambda's are.
var ids = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// id returns n letters and digits made from the stack's name and words: the same for the same words.
func id(n int, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return ids.EncodeToString(sum[:])[:n]
}

// Lengths of ids: an API's is the first label of its host, and so is a URL's.
const (
	apiIDLength = 10
	urlIDLength = 32

	experimentIDLength = 16
)

// uuid returns words in the form of a UUID.
func uuid(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// physical is the name that AWS gives a resource that has none: stack, logical ID and twelve letters.
func (l *loader) physical(logical string) string {
	return shorten(l.app.Name+"-"+logical, 51) + "-" + strings.ToUpper(id(12, l.app.Name, logical))
}

// standIn is the name of something that is not there. Nobody can take it for a real one.
func (l *loader) standIn(logical string) string {
	return shorten(l.app.Name+"-"+logical, 51) + "-NOTAVAILABLE"
}

func shorten(s string, n int) string { return s[:min(len(s), n)] }

// arn puts an ARN together. Region and account are left out where a service has none.
func (l *loader) arn(service, rest string) string {
	region, account := l.app.Place.Region, l.app.Place.Account
	switch service {
	case "s3":
		region, account = "", ""
	case "iam":
		region = ""
	}
	return "arn:" + l.scope.Parameters["AWS::Partition"].Text + ":" + service + ":" + region + ":" + account + ":" + rest
}
