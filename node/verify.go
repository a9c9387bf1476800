package node

import (
	"net/http"
	"strings"

	"github.com/daruma-io/daruma/door/web"
)

// verify checks a request to a function URL that takes signed requests only.
func (n *Node) verify(r *http.Request, body []byte) (web.Caller, bool) {
	who, err := n.front.Verify(r, body, "lambda")
	if err != nil {
		return web.Caller{}, false
	}
	key, _, _ := strings.Cut(who.UserID, ":")
	return web.Caller{AccessKey: key, AccountID: who.Account, CallerID: who.UserID, UserARN: who.ARN, UserID: who.UserID}, true
}
