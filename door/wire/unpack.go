package wire

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
)

// unpack undoes what a request says was done to its body (AWS SDKs and Tools
// Reference Guide, "Request compression"; deflate is RFC 1950). It is done
// after the gate: what is signed is what was sent. What cannot be unpacked, or
// is larger than bytesMax then, is refused as an error of the service, as it is
// there.
func (x *exchange) unpack(bytesMax int64) *Error {
	var packed io.Reader = bytes.NewReader(x.req.Body)
	var plain io.Reader
	var err error
	switch x.req.HTTP.Header.Get("Content-Encoding") {
	case "", "identity", "amz-1.0": // the last is what old clients call plain JSON
		return nil
	case "gzip":
		plain, err = gzip.NewReader(packed)
	case "deflate":
		plain, err = zlib.NewReader(packed)
	default:
		return brokenBody()
	}
	if err != nil {
		return brokenBody()
	}
	body, err := io.ReadAll(io.LimitReader(plain, bytesMax+1))
	if err != nil || int64(len(body)) > bytesMax {
		return brokenBody()
	}
	x.req.Body = body
	return nil
}

func brokenBody() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: "The request's body could not be unpacked."}
}
