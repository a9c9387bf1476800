package wire

import (
	"fmt"
	"net"
	"net/http"
)

// checkIPHost is where AWS tells everybody, unsigned, which address a request
// comes from. Functions made from AWS's own templates ask it.
const checkIPHost = "checkip.amazonaws.com"

// isCheckIP says whether a request asks for its own address.
func isCheckIP(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == checkIPHost && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// tellAddress answers with the address that the request comes from as seen
// here: that of this machine's loopback for what runs on it.
func tellAddress(w http.ResponseWriter, r *http.Request) {
	address := "127.0.0.1" // connections within this process have none
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && net.ParseIP(host) != nil {
		address = host
	}
	w.Header()["Content-Type"] = []string{"text/plain;charset=UTF-8"}
	fmt.Fprintln(w, address)
}
