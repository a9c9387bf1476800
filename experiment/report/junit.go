package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment/conduct"
)

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []suite  `xml:"testsuite"`
}

type suite struct {
	Name      string  `xml:"name,attr"`
	Tests     int     `xml:"tests,attr"`
	Failures  int     `xml:"failures,attr"`
	Errors    int     `xml:"errors,attr"`
	Time      string  `xml:"time,attr"`
	Timestamp string  `xml:"timestamp,attr"`
	Cases     []tried `xml:"testcase"`
	Out       string  `xml:"system-out,omitempty"`
}

type tried struct {
	Class   string   `xml:"classname,attr"`
	File    string   `xml:"file,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Failure *because `xml:"failure"`
	Error   *because `xml:"error"`
}

type because struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes JUnit XML: a suite for each experiment, a case for each judgement, and one for the verdict. What
// deviated is a failure and what could not be judged an error, so that neither is taken for well.
func JUnit(w io.Writer, pairs []Pair) error {
	all := suites{Name: "daruma experiments"}
	var took time.Duration
	for _, p := range pairs {
		r := p.Now
		class := r.File
		if r.Label != "" { // two cases of one name are taken for one
			class += " (" + r.Label + ")"
		}
		s := suite{Name: titleOf(r), Time: fmt.Sprintf("%.3f", r.Ended.Sub(r.Started).Seconds()), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Out: strings.Join(r.Chain, "\n")}
		add := func(name, took string, o conduct.Outcome, why string) {
			c := tried{Class: class, File: r.File, Name: name, Time: took}
			switch o {
			case conduct.Deviated:
				c.Failure = &because{"deviated", why, strings.Join(r.Chain, "\n")}
				s.Failures++
			case conduct.Unknown:
				c.Error = &because{"not judged", why, strings.Join(r.Reasons, "\n")}
				s.Errors++
			}
			s.Cases = append(s.Cases, c)
			s.Tests++
		}
		for _, j := range r.Judged {
			add(fmt.Sprintf("%s (%s)", j.Probe, j.Phase), "0.000", j.Outcome, j.Why)
		}
		why := ""
		if len(r.Reasons) > 0 {
			why = r.Reasons[0]
		}
		add("verdict", s.Time, r.Outcome, why)
		all.Suites = append(all.Suites, s)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		took += r.Ended.Sub(r.Started)
	}
	all.Time = fmt.Sprintf("%.3f", took.Seconds())
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
