package egress

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// roleVariable makes the test binary play a part in a function's network:
// "get URL" is a program in Go, which has its own TLS and its own resolver.
const roleVariable = "DARUMA_EGRESS_ROLE"

func play(string) int {
	res, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
