//go:build !planted

package sim_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plants are the bugs that can be planted in package delivery (see its
// planted.go) and the tests of that package that find each. All but those named
// in quiet are found by the simulation, too.
var plants = map[string][]string{
	"": nil,
	"age forgotten": {"TestTheAgeRuleIsAppliedBeforeTheNextAttempt", "TestAnOldEventIsGivenUpWithoutARun", "TestAnOldEventIsGivenUpWhileItsFunctionIsHeldBack",
		"TestADeadLetterOfAThrottledEventSays429", "TestDeliveriesAreWhatTheModelSays"},
	"throttle counts": {"TestAThrottleSpendsNoAttempt", "TestDeliveriesAreWhatTheModelSays"},
	"dead letter lost": {"TestAChangedPolicyCountsForEventsOnTheirWay", "TestDeadLetterAndDestinationAreBothTold", "TestADeadLetterOfAThrottledEventSays429", "TestTheDeadLetterOfTheVersionThatRanCounts",
		"TestWhatADestinationDoesNotTakeIsKeptAndCountedAndHandedOnLater"},
	"settle without route": {"TestAChangedPolicyCountsForEventsOnTheirWay", "TestAFailingFunctionRunsAtOnceAndAfterOneAndTwoMinutes", "TestAnOldEventIsGivenUpWithoutARun", "TestAReservedConcurrencyOfZeroFailsAtOnce",
		"TestADestinationRecordIsWhatLambdaSends", "TestDeadLetterAndDestinationAreBothTold", "TestADeadLetterOfAThrottledEventSays429", "TestTheDeadLetterOfTheVersionThatRanCounts",
		"TestWhatADestinationDoesNotTakeIsKeptAndCountedAndHandedOnLater", "TestAnEventWhoseLeaseKeepsRunningOutIsGivenUp",
		"TestARedriveKeepsTheRequestAndIsDoneOnce", "TestSensitiveFieldsAreNotKeptAndMustBeGivenToRedrive", "TestDeliveriesAreWhatTheModelSays"},
	"old lease settles": {"TestAnOldLeaseSettlesNothing", "TestALeaseThatRanOutComesBackAndHasSpentAnAttempt", "TestDeliveriesAreWhatTheModelSays"},
	"retry early":       {"TestAFailingFunctionRunsAtOnceAndAfterOneAndTwoMinutes", "TestAThrottleSpendsNoAttempt", "TestTheAgeRuleIsAppliedBeforeTheNextAttempt", "TestDeliveriesAreWhatTheModelSays"},
}

// quiet bugs need what the simulation does not have: one holder of a lease that outlives it.
var quiet = []string{"", "old lease settles"}

func TestEveryPlantedBugIsFoundByItsTests(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two test binaries and runs them for every bug: not with -short")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to build with: ", err)
	}
	dir := t.TempDir()
	build := func(pkg string) string {
		out := filepath.Join(dir, pkg+".test")
		if text, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "planted", "-o", out, "../"+pkg).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, text)
		}
		return out
	}
	ofDelivery, ofSim := build("delivery"), build("sim")
	for bug, tests := range plants {
		slices.Sort(tests)
		got := failing(t, ofDelivery, "../delivery", bug, "-test.run", "^Test", "-rapid.nofailfile", "-rapid.shrinktime", "0s")
		if !slices.Equal(got, tests) {
			t.Errorf("%q: got these tests failing:\n\t%s\nwant\n\t%s", bug, strings.Join(got, "\n\t"), strings.Join(tests, "\n\t"))
		}
		if found := len(failing(t, ofSim, ".", bug, "-seeds", "60")) > 0; found == slices.Contains(quiet, bug) {
			t.Errorf("%q: the simulation has found it: %v", bug, found)
		}
	}
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// failing runs a test binary with a bug and returns the tests that failed.
func failing(t *testing.T, binary, dir, bug string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"-test.v", "-plant", bug}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var names []string
	for _, m := range failed.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if err != nil && len(names) == 0 {
		t.Fatalf("%q: %s: %v\n%s", bug, binary, err, out)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
