package egress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// roleVariable makes the test binary play a part in a function's network.
const roleVariable = "DARUMA_EGRESS_ROLE"

// play is a program in Go, which has its own TLS and its own resolver: "get"
// fetches the URL in its argument, "sdk" calls the cloud with the official client.
func play(role string) int {
	err := map[string]func() error{"get": get, "sdk": sdk}[role]()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func get() error {
	res, err := http.Get(os.Args[1])
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

func sdk() error {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	_, err = lambda.NewFromConfig(cfg).ListFunctions(context.Background(), nil)
	if err == nil {
		fmt.Println(200)
	}
	return err
}
