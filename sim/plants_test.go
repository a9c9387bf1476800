//go:build !planted

package sim_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

var table = flag.Bool("table", false, "print which test has caught which bug, and how long that took")

// A plant is a bug that can be planted, and who finds it.
type plant struct {
	bug   string
	quiet bool     // the simulation does not find it: it needs what is not simulated
	tests []string // of its package, all that find it; the one that is for it first
}

// A bed is a package with bugs in its planted.go, and which of its tests are tried.
type bed struct {
	pkg    string
	run    string
	flags  []string // that its tests have beside
	plants []plant
}

// unshrunk has tests with rapid's flags end as soon as they have found something.
var unshrunk = []string{"-rapid.nofailfile", "-rapid.shrinktime", "0s"}

var beds = []bed{
	{"cell/journal/disk", "^TestAnEntryIsDurableOnlyOnceItIsSynced$", unshrunk, []plant{
		{bug: "", quiet: true},
		{"acknowledged before commit", true, []string{"TestAnEntryIsDurableOnlyOnceItIsSynced"}},
		{"sync skipped", true, []string{"TestAnEntryIsDurableOnlyOnceItIsSynced"}},
	}},
	{"delivery", "^Test", unshrunk, []plant{
		{bug: "", quiet: true},
		{"age forgotten", false, []string{
			"TestTheAgeRuleIsAppliedBeforeTheNextAttempt", "TestAnOldEventIsGivenUpWithoutARun",
			"TestAnOldEventIsGivenUpWhileItsFunctionIsHeldBack", "TestADeadLetterOfAThrottledEventSays429",
			"TestALineThatIsHeldBackBeginsBehindWhatWasGivenUp", "TestDeliveriesAreWhatTheModelSays",
		}},
		{"throttle counts", false, []string{
			"TestAThrottleSpendsNoAttempt", "TestDeliveriesAreWhatTheModelSays",
		}},
		{"dead letter lost", false, []string{
			"TestDeadLetterAndDestinationAreBothTold", "TestAChangedPolicyCountsForEventsOnTheirWay",
			"TestADeadLetterOfAThrottledEventSays429", "TestTheDeadLetterOfTheVersionThatRanCounts",
			"TestWhatADestinationDoesNotTakeIsKeptAndCountedAndHandedOnLater",
		}},
		{"settle without route", false, []string{
			"TestADestinationRecordIsWhatLambdaSends", "TestAChangedPolicyCountsForEventsOnTheirWay",
			"TestAFailingFunctionRunsAtOnceAndAfterOneAndTwoMinutes", "TestAnOldEventIsGivenUpWithoutARun",
			"TestAReservedConcurrencyOfZeroFailsAtOnce", "TestDeadLetterAndDestinationAreBothTold",
			"TestADeadLetterOfAThrottledEventSays429", "TestTheDeadLetterOfTheVersionThatRanCounts",
			"TestWhatADestinationDoesNotTakeIsKeptAndCountedAndHandedOnLater", "TestAnEventWhoseLeaseKeepsRunningOutIsGivenUp",
			"TestARedriveKeepsTheRequestAndIsDoneOnce", "TestSensitiveFieldsAreNotKeptAndMustBeGivenToRedrive",
			"TestADestinationMayHandTheFunctionThatFailedItsNextEvent", "TestDeliveriesAreWhatTheModelSays",
		}},
		{"old lease settles", true, []string{
			"TestAnOldLeaseSettlesNothing", "TestALeaseThatRanOutComesBackAndHasSpentAnAttempt",
			"TestDeliveriesAreWhatTheModelSays",
		}},
		{"retry early", false, []string{
			"TestAFailingFunctionRunsAtOnceAndAfterOneAndTwoMinutes", "TestAThrottleSpendsNoAttempt",
			"TestTheAgeRuleIsAppliedBeforeTheNextAttempt", "TestDeliveriesAreWhatTheModelSays",
		}},
	}},
	{"dispatch", "^Test(AThrottleSpendsNo|NothingIsReceivedFor|AReportThatMakesNo|WhatAFilterDoesNotWant|OnlyReported|OneBatchOfAGroup|MessagesAre|AFailedBatch|NoMoreBatches)", nil, []plant{
		{bug: "", quiet: true},
		{"throttle spends a receive", true, []string{"TestAThrottleSpendsNoReceiveUnlessSemanticsAreStrict"}},
		{"held queue is received from", true, []string{"TestNothingIsReceivedForAFunctionThatIsHeld"}},
		{"malformed report deletes", true, []string{"TestAReportThatMakesNoSenseMeansThatAllFailed"}},
		{"filtered message stays", true, []string{"TestWhatAFilterDoesNotWantIsDeleted"}},
	}},
	{"queue", "^Test(AQueueIsWhatTheModelSays|ADeadLetterIsInItsQueue|WhatIsKnownOfTheTries)", unshrunk, []plant{
		{bug: "", quiet: true},
		{"group handed out twice", true, []string{"TestAQueueIsWhatTheModelSays"}},
		{"dead letter copied after the delete", true, []string{
			"TestADeadLetterIsInItsQueueAndInTheLedger", "TestWhatIsKnownOfTheTriesIsInTheLedger", "TestAQueueIsWhatTheModelSays",
		}},
	}},
	{"once", "^Test", nil, []plant{
		{bug: "", quiet: true},
		{"key kept in a later step", true, []string{"TestAKeyIsKeptWithTheStepOrNotAtAll"}},
	}},
	{"sim/twice", "^Test", []string{"-worlds", "200"}, []plant{
		{bug: "", quiet: true},
		{"key kept in a later step", true, []string{"TestAnEventThatIsDoneIsKnownByItsKeyWhereverTheProcessEnds", "TestACrashAtAnyCommandKeepsKeysAndEventsTogether"}},
	}},
}

func TestEveryPlantedBugIsFoundByItsTests(t *testing.T) {
	if testing.Short() {
		t.Skip("builds test binaries and runs them for every bug: not with -short")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to build with: ", err)
	}
	dir := t.TempDir()
	build := func(pkg string) string {
		out := filepath.Join(dir, filepath.Base(pkg)+".test")
		if text, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "planted", "-o", out, "../"+pkg).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, text)
		}
		return out
	}
	caught := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	if *table {
		fmt.Fprint(caught, "PLANTED BUG\tPACKAGE\tCAUGHT BY\tAND OTHERS\tIN\tBY THE SIMULATION IN\n")
		defer caught.Flush()
	}
	ofSim := build("sim")
	for _, b := range beds {
		binary := build(b.pkg)
		for _, p := range b.plants {
			took := failing(t, binary, "../"+b.pkg, p.bug, append([]string{"-test.run", b.run}, b.flags...)...)
			got, want := names(took), slices.Sorted(slices.Values(p.tests))
			if !slices.Equal(got, want) {
				t.Errorf("%q: got these tests failing:\n\t%s\nwant\n\t%s", p.bug, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			bySim := "-"
			if b.pkg == "delivery" {
				inSim := failing(t, ofSim, ".", p.bug, "-seeds", "60")
				if found := len(inSim) > 0; found == p.quiet {
					t.Errorf("%q: the simulation has found it: %v", p.bug, found)
				}
				for _, name := range names(inSim)[:min(1, len(inSim))] {
					bySim = inSim[name]
				}
			}
			if *table && len(p.tests) > 0 {
				fmt.Fprintf(caught, "%s\t%s\t%s\t%d\t%s\t%s\n", p.bug, b.pkg, p.tests[0], len(p.tests)-1, took[p.tests[0]], bySim)
			}
		}
	}
}

// TestNoPlantedBugIsInTheProduct looks for their names in what is built without the tag.
func TestNoPlantedBugIsInTheProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the product: not with -short")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to build with: ", err)
	}
	has := func(args ...string) (found []string) {
		out := filepath.Join(t.TempDir(), "daruma")
		if text, err := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, args...), "-o", out, "../cmd/daruma")...).CombinedOutput(); err != nil {
			t.Fatalf("build the product: %v\n%s", err, text)
		}
		program, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range beds {
			for _, p := range b.plants {
				if p.bug != "" && bytes.Contains(program, []byte(p.bug)) {
					found = append(found, p.bug)
				}
			}
			if name := b.pkg + ".planted"; bytes.Contains(program, []byte(name)) {
				found = append(found, name)
			}
		}
		return found
	}
	if found := has(); len(found) > 0 {
		t.Errorf("the product has %q", found)
	}
	if found := has("-tags", "planted"); len(found) == 0 {
		t.Error("with the tag none is found: this test looks for the wrong thing")
	}
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+) \((.*)\)`)

// failing runs a test binary with a bug and returns the tests that failed, and what each took.
func failing(t *testing.T, binary, dir, bug string, args ...string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"-test.v", "-test.timeout", "5m", "-plant", bug}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	took := map[string]string{}
	for _, m := range failed.FindAllSubmatch(out, -1) {
		took[string(m[1])] = string(m[2])
	}
	if err != nil && len(took) == 0 {
		t.Fatalf("%q: %s: %v\n%s", bug, binary, err, out)
	}
	return took
}

func names(of map[string]string) []string { return slices.Sorted(maps.Keys(of)) }
