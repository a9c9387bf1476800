package build_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
)

// gradleApp is a build of two projects, the function depending on the other.
func gradleApp(t *testing.T) string {
	return buildtest.Write(t, map[string]string{
		"settings.gradle": "include 'app', 'common', 'app:part'\n",
		"app/build.gradle": "apply plugin: 'java'\nrepositories { mavenCentral() }\n" +
			"dependencies { implementation project(':common'); implementation 'com.amazonaws:aws-lambda-java-core:1.2.3' }\n",
		"app/src/main/java/g/App.java":       "package g;\nimport com.amazonaws.services.lambda.runtime.*;\npublic class App implements RequestHandler<String, String> { public String handleRequest(String in, Context c) { return g.Common.TEXT; } }\n",
		"app/src/main/resources/r.txt":       "r",
		"app/part/build.gradle":              "apply plugin: 'java'\n",
		"app/part/src/main/java/g/Part.java": "package g;\nclass Part {}\n",
		"common/build.gradle":                "apply plugin: 'java'\n",
		"common/src/main/java/g/Common.java": "package g;\npublic class Common { public static String TEXT = \"x\"; }\n",
	})
}

func TestGradleLaysOutClassesAndLibraries(t *testing.T) {
	if _, err := exec.LookPath("gradle"); err != nil {
		t.Skip("Gradle is not installed on this machine")
	}
	buildtest.NeedRegistry(t)
	dir := gradleApp(t)
	code := mustBuild(t, catalog.Source{Path: filepath.Join(dir, "app")}, options(t, "java17", "g.App"))
	wantTree(t, code, "g/App.class", "lib/aws-lambda-java-core-1.2.3.jar", "lib/common.jar", "r.txt")
	layer := mustBuild(t, catalog.Source{Path: filepath.Join(dir, "common"), Layer: true, Method: "java17"}, options(t, "java17", ""))
	wantTree(t, layer, "java/lib/common.jar")
	for _, left := range []string{"build", ".gradle", "app/build"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
			t.Errorf("%s was left beside the source", left)
		}
	}
}

func TestGradleIsRunByTheNearestWrapper(t *testing.T) {
	dir := gradleApp(t)
	wrapper := "#!/bin/sh\nfor a; do case $a in -Ddaruma.classes=*) out=${a#*=};; --project-dir) p=1;; esac; done\necho \"$PWD\" \"$@\" > $out/said\n"
	if err := os.WriteFile(filepath.Join(dir, "gradlew"), []byte(wrapper), 0o644); err != nil {
		t.Fatal(err)
	}
	code := mustBuild(t, catalog.Source{Path: filepath.Join(dir, "app")}, options(t, "java17", "g.App"))
	said, err := os.ReadFile(filepath.Join(code.Dir, "said"))
	if err != nil || !strings.Contains(string(said), "/source/app ") || !strings.HasSuffix(string(said), " darumaCode\n") {
		t.Errorf("got %q, %v; want the wrapper run for the project in a copy", said, err)
	}
}

func TestAFailedJavaToolIsToldByItsExceptionAndNotItsStack(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"build.gradle": "", "gradlew": "#!/bin/sh\nprintf 'Exception in thread \"main\" java.net.UnknownHostException: services.gradle.org\\n'\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do printf '\\tat org.gradle.Frame%s\\n' $i; done\nexit 1\n"})
	_, err := build.Build(t.Context(), catalog.Source{Path: dir}, options(t, "java17", "g.App"))
	wantError(t, err, daruma.KindInvalid, "gradlew: exit status 1\nException in thread \"main\" java.net.UnknownHostException: services.gradle.org")
	if strings.Contains(err.Error(), "Frame") {
		t.Errorf("got %v, want no stack", err)
	}
}
