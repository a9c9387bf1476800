package wire

import (
	"encoding/xml"
	"net/http"
)

// identityService is the part of STS that can be answered truly here: whose
// credentials these are.
type identityService struct{ front *Front }

// ServeAWS answers GetCallerIdentity and refuses all else.
func (s identityService) ServeAWS(w http.ResponseWriter, r *Request) {
	if operation(r) != "GetCallerIdentity" {
		Refuse(w, r, s.front.unserved(r))
		return
	}
	w.Header()["Content-Type"] = []string{"text/xml"}
	w.Write([]byte(xml.Header + `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		element("Arn", r.Caller.ARN) + element("UserId", r.Caller.UserID) + element("Account", r.Caller.Account) +
		"</GetCallerIdentityResult><ResponseMetadata>" + element("RequestId", r.ID) + "</ResponseMetadata></GetCallerIdentityResponse>"))
}
