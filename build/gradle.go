package build

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
)

// gradleTask is an init script that gives every Java project a task which lays
// out its classes, with what they need at run time in lib/. It keeps to what
// Gradle 4 and later have.
//
//go:embed gradle.init
var gradleTask []byte

// isGradle says whether dir holds a Gradle project.
func isGradle(dir string) bool {
	return isFile(filepath.Join(dir, "build.gradle")) || isFile(filepath.Join(dir, "build.gradle.kts"))
}

// gradle compiles a project of a Gradle build and lays out its classes. The
// whole build the project belongs to is copied, and run with its own wrapper
// where it has one. A layer's go into java/lib.
func (j *job) gradle(ctx context.Context) error {
	root := j.src.Path
	for _, name := range []string{"settings.gradle", "settings.gradle.kts"} {
		if file := above(j.src.Path, name); file != "" {
			root = filepath.Dir(file)
			break
		}
	}
	project, err := filepath.Rel(root, j.src.Path)
	if err != nil {
		return err
	}
	work := filepath.Join(j.dir, "source")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	if err := copyTree(root, work, map[string]bool{".aws-sam": true, ".git": true, ".gradle": true, ".daruma": true}); err != nil {
		return err
	}
	script := filepath.Join(j.dir, "daruma.gradle")
	if err := os.WriteFile(script, gradleTask, 0o644); err != nil {
		return err
	}
	lib, classes := filepath.Join(j.out, "lib"), j.out
	if j.src.Layer {
		lib, classes = filepath.Join(j.out, "java", "lib"), ""
	}
	tool, err := gradleTool(work, filepath.Join(work, project))
	if err != nil {
		return err
	}
	return olderJDK(j.tool(ctx, work, nil, tool, "--quiet", "--console=plain", "--no-daemon", "--init-script", script,
		"--project-dir", filepath.Join(work, project), "-Ddaruma.project="+filepath.Join(work, project), "-Ddaruma.classes="+classes, "-Ddaruma.lib="+lib, "darumaCode"))
}

// gradleTool returns the wrapper nearest to the project, or the installed Gradle.
func gradleTool(root, project string) (string, error) {
	for dir := project; ; dir = filepath.Dir(dir) {
		if file := filepath.Join(dir, "gradlew"); isFile(file) {
			return file, os.Chmod(file, 0o755) // a copy: wrappers lose the bit in archives
		}
		if dir == root || len(dir) <= len(root) {
			break
		}
	}
	if _, err := exec.LookPath("gradle"); err != nil {
		return "", refused("Add the wrapper to the project (gradle wrapper), or install Gradle.", "building with Gradle needs gradlew or gradle, and neither was found")
	}
	return "gradle", nil
}
