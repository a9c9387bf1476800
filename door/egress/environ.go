package egress

import (
	"path"

	"github.com/daruma-io/daruma/door/egress/trust"
)

// Environ returns the variables by which SDKs and TLS libraries find the
// platform, as NAME=value, each of which a function's own settings may override.
//
// endpoint is the URL of the plain HTTP listener that answers for the cloud
// (ServeCloud in an environment, the platform's own elsewhere): SDKs that
// know AWS_ENDPOINT_URL use it and need no TLS; those that do not, and code
// that names hosts itself, use the real names and need the rest.
//
// trustDir is trust.Files.Dir as the function sees it; "" where the cloud's
// names do not lead here (plain processes), and then only the endpoint is set.
func Environ(endpoint, trustDir string) []string {
	env := []string{"AWS_ENDPOINT_URL=" + endpoint}
	if trustDir == "" {
		return env
	}
	bundle := path.Join(trustDir, trust.BundleName)
	return append(env,
		"SSL_CERT_FILE="+bundle,                                  // Go, OpenSSL (Python's ssl, Ruby, PHP), .NET, Rust's native roots
		"AWS_CA_BUNDLE="+bundle,                                  // boto3 and botocore, the SDKs for Go and Ruby, the AWS CLI: they bring their own roots otherwise
		"REQUESTS_CA_BUNDLE="+bundle,                             // Python's requests
		"CURL_CA_BUNDLE="+bundle,                                 // curl and what is built on it
		"NODE_EXTRA_CA_CERTS="+path.Join(trustDir, trust.CAName), // Node.js, Bun: added to those built in
		"JAVA_TOOL_OPTIONS="+JavaTrust(trustDir),
	)
}

// JavaTrust is the option by which a Java machine trusts the authority. It
// belongs on the command line where the platform writes it: given by
// JAVA_TOOL_OPTIONS, Java says so in the function's log.
func JavaTrust(trustDir string) string {
	return "-Djavax.net.ssl.trustStore=" + path.Join(trustDir, trust.StoreName)
}
