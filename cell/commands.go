package cell

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/daruma-io/daruma"
)

// Commands are what a machine can be asked for, by name. S is what it takes its
// steps with: a *[Tx], or what else it knows while it applies one command.
type Commands[S any] map[string]func(S, Command) (any, error)

// Apply applies a command. One that is not known is refused with KindUnsupported.
func (c Commands[S]) Apply(s S, cmd Command) (any, error) {
	f := c[cmd.Name]
	if f == nil {
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: fmt.Errorf("machine %q knows no such command", cmd.Machine)}
	}
	return f(s, cmd)
}

// Ask does a command with arguments, as of [Answering]. Errors: as of [Cell.Do],
// and that arguments cannot be written as JSON.
func (c *Cell) Ask(ctx context.Context, machine, name string, arguments any) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, Command{Machine: machine, Name: name, Body: body})
}

// Answering is a command with arguments, which are its body as JSON, and an
// answer. A body that is something else is refused with KindInvalid.
func Answering[S, A, R any](f func(S, A) (R, error)) func(S, Command) (any, error) {
	return func(s S, cmd Command) (any, error) {
		var arguments A
		if err := json.Unmarshal(cmd.Body, &arguments); err != nil {
			return nil, daruma.InvalidAt(cmd.Name, "a command cannot be read: %w", err)
		}
		return f(s, arguments)
	}
}

// Doing is a command with arguments, as of [Answering], and no answer.
func Doing[S, A any](f func(S, A) error) func(S, Command) (any, error) {
	return Answering(func(s S, arguments A) (any, error) { return nil, f(s, arguments) })
}

// Reading is a command that reads its body by itself.
func Reading[S, R any](f func(S, []byte) (R, error)) func(S, Command) (any, error) {
	return func(s S, cmd Command) (any, error) { return f(s, cmd.Body) }
}
