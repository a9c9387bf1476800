package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func TestAClockBeginsToRunFastWhenTheAppIsUp(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "template.yaml"), `Transform: AWS::Serverless-2016-10-31
Resources:
  Charge: { Type: AWS::Serverless::Function, Properties: { Runtime: python3.12, Handler: index.handler, InlineCode: "def handler(event, context): pass" } }
`)
	p := startPlatform(t, dir, "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--time-scale=1000")
	f, err := p.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("Charge")})
	now := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := time.Parse("2006-01-02T15:04:05.000-0700", aws.ToString(f.LastModified))
	if err != nil {
		t.Fatal(err)
	}
	if deployed.After(now) {
		t.Errorf("by the app's clock it was deployed %v from now: it ran fast while the app was built", deployed.Sub(now))
	}
}
