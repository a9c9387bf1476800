package expression

import (
	"strings"
	"sync"
)

// Limits of a cache.
const (
	cacheEntriesMax = 4096
	cacheTextMax    = TextBytesMax // longer texts are parsed each time
)

// A Cache keeps parsed expressions by their texts. When it is full it is
// emptied: an app has few expressions, or endlessly many. The zero Cache is
// empty; it may be used from any goroutine.
type Cache struct {
	mu sync.RWMutex // guards m
	m  map[cacheKey]*Expression
}

type cacheKey struct {
	kind Kind
	text string
}

// Bind parses an expression and gives it its names and values.
func (c *Cache) Bind(scope *Scope, kind Kind, text string) (*Bound, error) {
	e, err := c.Parse(kind, text)
	if err != nil {
		return nil, err
	}
	return scope.Bind(e)
}

// Parse is [Parse] that remembers.
func (c *Cache) Parse(kind Kind, text string) (*Expression, error) {
	if len(text) > cacheTextMax {
		return Parse(kind, text)
	}
	c.mu.RLock()
	e, ok := c.m[cacheKey{kind, text}]
	c.mu.RUnlock()
	if ok {
		return e, nil
	}
	text = strings.Clone(text) // it may be a part of a request
	e, err := Parse(kind, text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= cacheEntriesMax {
		c.m = map[cacheKey]*Expression{}
	}
	c.m[cacheKey{kind, text}] = e
	return e, nil
}
