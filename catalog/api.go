package catalog

import (
	"time"

	"github.com/daruma-io/daruma"
)

// Kinds of API.
const (
	HTTP = "HTTP" // API Gateway version 2: payload 2.0 by default
	REST = "REST" // API Gateway version 1: payload 1.0
)

// DefaultStage is the stage of an HTTP API that has no path prefix.
const DefaultStage = "$default"

// AnyMethod is the method of a route that takes every method.
const AnyMethod = "ANY"

// DefaultRoute is the path of an HTTP API's route of last resort.
const DefaultRoute = "$default"

// An API is a set of routes to functions under one host name.
type API struct {
	ID        string   `json:"id"` // ten lower-case letters and digits: the host's first label
	LogicalID string   `json:"logicalId"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind"` // HTTP or REST
	Stages    []Stage  `json:"stages"`
	Routes    []Route  `json:"routes"`
	CORS      *CORS    `json:"cors,omitempty"`        // HTTP only: answered by the door itself
	Binary    []string `json:"binaryTypes,omitempty"` // REST only: media types passed as base64; "*/*" for all
	Owner     string   `json:"owner,omitempty"`
	Position  string   `json:"position,omitempty"`
}

// A Stage is one published face of an API.
type Stage struct {
	Name      string            `json:"name"` // DefaultStage, or the first segment of the path
	Variables map[string]string `json:"variables,omitempty"`
}

// A Route leads from a method and a path to a function, or to a fixed answer.
type Route struct {
	Method   string        `json:"method"` // upper case, or AnyMethod
	Path     string        `json:"path"`   // "/pets/{id}", "/{proxy+}", or DefaultRoute
	Target   daruma.Target `json:"target"`
	Payload  string        `json:"payload"`          // "1.0" or "2.0"
	Timeout  time.Duration `json:"timeoutNs"`        // 29 s (REST) or 30 s (HTTP) when 0
	Stream   bool          `json:"stream,omitempty"` // REST: ResponseTransferMode STREAM
	Mock     *Mock         `json:"mock,omitempty"`   // instead of Target: the answer to a preflight
	Stages   []string      `json:"stages,omitempty"` // only in these; every stage when empty
	Position string        `json:"position,omitempty"`
}

// A Mock is a fixed answer that no function is asked for.
type Mock struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
}

// CORS says which other origins may read answers. A nil slice leaves its header out.
type CORS struct {
	Origins     []string `json:"origins,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Expose      []string `json:"expose,omitempty"`
	MaxAge      int      `json:"maxAge,omitempty"` // seconds
	Credentials bool     `json:"credentials,omitempty"`
}
