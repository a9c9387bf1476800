package daruma

// What function environments and the door they knock at say to each other.
// The types are here because neither side imports the other.

// A Registration is the answer to an extension that registered.
type Registration struct {
	Identifier      string // what the extension calls itself from now on
	FunctionName    string
	FunctionVersion string
	Handler         string
	AccountID       string // told to those who ask for it
}

// An ExtensionEvent is what an extension's next returns.
type ExtensionEvent struct {
	ID       string    // Lambda-Extension-Event-Identifier
	Shutdown string    // "spindown", "timeout" or "failure" for a SHUTDOWN event; "" for INVOKE
	Invoke   *Delivery // for INVOKE; its Payload is not passed on
	Deadline int64     // Unix milliseconds
}

// A StateError refuses a call that does not fit the environment's state.
type StateError struct {
	Status int    // HTTP status: 400, 403 or 413
	Type   string // "InvalidStateTransition", "InvalidRequestID", "Extension.UnknownExtensionIdentifier", …
	Reason string // errorMessage
}

// Error returns the type and the reason.
func (e *StateError) Error() string { return e.Type + ": " + e.Reason }
