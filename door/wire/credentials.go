package wire

import "time"

// Credentials knows whose access keys are good. It is asked once for each
// request, from many goroutines, and must not block.
type Credentials interface {
	// Credential returns what belongs to an access key, and false for a key nobody has.
	Credential(accessKey string) (Credential, bool)
}

// A Credential is one pair of keys. One without a secret is never good.
type Credential struct {
	Secret   string
	Token    string    // the session token that must come along; "" when none may
	Expires  time.Time // when the keys stop being good; zero: never
	Identity Identity
}

// An Identity is who signed a request. The zero value is nobody, and no
// handler is ever given it.
type Identity struct {
	ARN      string // "arn:aws:iam::000000000000:user/operator"
	UserID   string // what GetCallerIdentity tells as UserId
	Account  string // twelve digits
	Function string // the function whose environment holds the keys; "" for the operator
}
