package node

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
)

// A Key is an access key with its secret.
type Key struct {
	ID, Secret, Token string
}

// CredentialsFile returns where the operator's key lies: a file that AWS SDKs and the AWS CLI read.
func CredentialsFile(data string) string { return filepath.Join(data, "credentials") }

// OperatorKey reads the operator's key from data's credentials file.
func OperatorKey(data string) (Key, error) {
	name := CredentialsFile(data)
	info, err := os.Stat(name)
	if err != nil {
		return Key{}, &daruma.Error{Op: "read credentials", Ref: name, Kind: daruma.KindNotFound, Err: err}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Key{}, &daruma.Error{Op: "read credentials", Ref: name, Kind: daruma.KindDenied,
			Err: fmt.Errorf("others may read or change it (mode %o)", info.Mode().Perm()), Hint: "chmod 600 " + name}
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return Key{}, &daruma.Error{Op: "read credentials", Ref: name, Err: err}
	}
	values := map[string]string{}
	for in := bufio.NewScanner(bytes.NewReader(raw)); in.Scan(); {
		if k, v, ok := strings.Cut(in.Text(), "="); ok {
			values[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	key := Key{ID: values["aws_access_key_id"], Secret: values["aws_secret_access_key"]}
	if key.ID == "" || len(key.Secret) < 16 {
		return Key{}, &daruma.Error{Op: "read credentials", Ref: name, Kind: daruma.KindCorrupt,
			Err: errors.New("aws_access_key_id or aws_secret_access_key is missing or too short"), Hint: "remove the file: a new one is made at the next start"}
	}
	return key, nil
}

// ensureOperatorKey makes the operator's key at the first start.
func ensureOperatorKey(data string) (Key, error) {
	key, err := OperatorKey(data)
	if daruma.KindOf(err) != daruma.KindNotFound || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = newKey("AKIA")
	text := fmt.Sprintf("# Opens the node whose state this is. Made at its first start.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key.ID, key.Secret)
	return key, writeFile(CredentialsFile(data), []byte(text))
}

// newKey makes a key; its ID is as long as AWS's and begins with prefix.
func newKey(prefix string) Key {
	var id [10]byte
	var secret [30]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	return Key{ID: prefix + base32.StdEncoding.EncodeToString(id[:]), Secret: base64.StdEncoding.EncodeToString(secret[:])}
}

// A keyring knows every key that opens this node: the operator's, and one for
// each function, good until the node stops. Functions' keys are never stored.
type keyring struct {
	account  string
	operator Key

	mu        sync.RWMutex // guards what follows
	functions map[string]Key
	byID      map[string]wire.Credential
}

func newKeyring(account string, operator Key) *keyring {
	k := &keyring{account: account, operator: operator, functions: map[string]Key{}, byID: map[string]wire.Credential{}}
	k.byID[operator.ID] = wire.Credential{Secret: operator.Secret, Identity: wire.Identity{
		ARN: "arn:aws:iam::" + account + ":user/operator", UserID: operator.ID, Account: account,
	}}
	return k
}

// Credential finds what belongs to an access key.
func (k *keyring) Credential(id string) (wire.Credential, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	c, ok := k.byID[id]
	return c, ok
}

// of returns a function's key.
func (k *keyring) of(function string) Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.functions[function]
	if !ok {
		key = newKey("ASIA")
		key.Token = newKey("").Secret
		k.functions[function] = key
		k.byID[key.ID] = wire.Credential{Secret: key.Secret, Token: key.Token, Identity: wire.Identity{
			ARN:    "arn:aws:sts::" + k.account + ":assumed-role/" + function + "/" + function,
			UserID: key.ID + ":" + function, Account: k.account, Function: function,
		}}
	}
	return key
}
