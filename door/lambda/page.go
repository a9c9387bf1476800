package lambda

import (
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// pageMax is the most a list answers at once, whatever was asked for (Lambda
// API Reference, ListFunctions).
const pageMax = 50

// page cuts out of items what the request asks for: what comes after its
// Marker, and no more than MaxItems, which may be up to itemsMax. The items
// are sorted by key; a marker is the last key answered, so a list that changes
// meanwhile neither repeats nor skips what stayed.
func page[T any](c *call, items []T, itemsMax int, key func(T) string) (some []T, next string, _ *wire.Error) {
	n := pageMax
	if c.query.Has("MaxItems") {
		text := c.query.Get("MaxItems")
		asked, err := strconv.Atoi(text)
		if err != nil {
			return nil, "", invalidParameter("MaxItems must be a number.")
		}
		var v violations
		if asked < 1 {
			v.add(text, "maxItems", "have value greater than or equal to 1")
		}
		if asked > itemsMax {
			v.add(text, "maxItems", "have value less than or equal to "+strconv.Itoa(itemsMax))
		}
		if err := v.error(); err != nil {
			return nil, "", err
		}
		n = min(n, asked)
	}
	if marker := c.query.Get("Marker"); marker != "" {
		b, err := base64.RawURLEncoding.DecodeString(marker)
		after, ok := strings.CutPrefix(string(b), c.op+"\n")
		if err != nil || !ok {
			return nil, "", invalidParameter("Invalid marker.")
		}
		items = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > after }):]
	}
	if len(items) > n {
		items = items[:n]
		next = base64.RawURLEncoding.EncodeToString([]byte(c.op + "\n" + key(items[n-1])))
	}
	return items, next, nil
}

// versionKey orders versions as catalog.View does: Latest first, then by number.
func versionKey(version string) string {
	if version == catalog.Latest {
		return ""
	}
	return fmt.Sprintf("%20s", version)
}
