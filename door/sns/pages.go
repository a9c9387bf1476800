package sns

import (
	"net/http"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
)

// IsPage says whether a request is for a page that anybody may read: the
// certificate, or a link in a message with which its receiver confirms or ends
// a subscription. A request that is signed is for the API.
func (d *Door) IsPage(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return false
	}
	if r.URL.Path == "/"+d.cfg.Notary.name {
		return true
	}
	q := r.URL.Query()
	return r.URL.Path == "/" && !q.Has("X-Amz-Signature") && !q.Has("X-Amz-Credential") && (q.Get("Action") == "ConfirmSubscription" || q.Get("Action") == "Unsubscribe")
}

// ServeHTTP answers the pages that anybody may read. Who has the token that was
// posted to an endpoint speaks for it; who knows a subscription's ARN may end
// it, unless it was confirmed so that only who signs may.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/"+d.cfg.Notary.name {
		w.Header()["Content-Type"] = []string{"application/x-pem-file"}
		w.Write(d.cfg.Notary.cert)
		return
	}
	c := &call{Request: &wire.Request{HTTP: r, Path: "/", ID: daruma.NewID(), Service: "sns"}, action: r.URL.Query().Get("Action"), form: r.URL.Query(), place: d.cfg.Place}
	c.form.Del("AuthenticateOnUnsubscribe") // only who signs may ask for it
	err := d.page(c)
	if err != nil {
		wire.Refuse(w, c.Request, err)
		return
	}
	c.reply(w)
}

func (d *Door) page(c *call) *wire.Error {
	if strings.HasPrefix(c.action, "Confirm") {
		return d.confirm(c)
	}
	name, id, err := c.subscription()
	if err != nil {
		return err
	}
	if s, failed := d.cfg.Topics.Subscription(name, id); failed == nil && s.Guarded {
		return refusal(http.StatusForbidden, "AuthorizationError", "Not authorized: this subscription was confirmed with AuthenticateOnUnsubscribe, and is ended with a signed request")
	}
	return d.unsubscribe(c)
}
