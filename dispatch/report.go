package dispatch

import (
	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
)

// reportType is the error type of a batch whose report says that it failed, or
// says nothing that can be understood.
const reportType = "ReportBatchItemFailures"

// A Misreport is a report of failed records that makes no sense. Nothing is done
// by it: all records of the batch count as failed.
type Misreport struct {
	Mapping *mapping.Mapping
	Request string
	Records int   // in the batch
	Err     error // what is wrong with it
}

// misread tells of a misreport, and returns what is wrong with its batch.
func misread(tell func(Misreport), m Misreport) *daruma.Failure {
	if tell != nil {
		tell(m)
	}
	return &daruma.Failure{Kind: daruma.KindInvalid, Type: reportType, Message: "the report of failed records cannot be used, so all of them count as failed: " + m.Err.Error()}
}
