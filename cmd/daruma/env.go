package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma/node"
)

func envCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that point AWS SDKs and CLI at the node",
		Long: `Print the variables that point AWS SDKs and the AWS CLI at the node.

Version 1 of the AWS CLI, which many distributions bring, asks for queues on AWS
all the same ("Could not connect to the endpoint URL", "InvalidClientTokenId"):

  aws sqs --endpoint-url "$AWS_ENDPOINT_URL" …`,
		Example: `  eval "$(daruma env)"
  aws lambda list-functions
  aws sqs list-queues --endpoint-url "$AWS_ENDPOINT_URL"   version 1 of the AWS CLI`,
		Args: cobra.NoArgs,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		key, err := node.OperatorKey(a.Data)
		if err != nil {
			return err
		}
		vars := [][2]string{
			{"AWS_ENDPOINT_URL", a.AWS},
			{"AWS_REGION", a.Region},
			{"AWS_DEFAULT_REGION", a.Region},
			{"AWS_SHARED_CREDENTIALS_FILE", node.CredentialsFile(a.Data)},
			{"AWS_ACCESS_KEY_ID", key.ID},
			{"AWS_SECRET_ACCESS_KEY", key.Secret},
		}
		if *asJSON {
			m := map[string]string{}
			for _, v := range vars {
				m[v[0]] = v[1]
			}
			return printJSON(w.out, m)
		}
		for _, v := range vars {
			fmt.Fprintf(w.out, "export %s=%s\n", v[0], shellQuote(v[1]))
		}
		fmt.Fprintln(w.out, "unset AWS_SESSION_TOKEN AWS_PROFILE")
		return nil
	}
	return c
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
