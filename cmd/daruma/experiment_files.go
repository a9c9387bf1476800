package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/daruma-io/daruma"
)

// findTemplate returns the template that was named, that is here, or that is above the experiments.
func (s *session) findTemplate(args []string) string {
	if s.experimentFlags.template != "" {
		return templatePath(s.w, []string{s.experimentFlags.template})
	}
	dirs := []string{s.w.dir}
	for _, a := range args {
		for at := filepath.Dir(filepath.Join(templatePath(s.w, []string{a}), "x")); len(dirs) < 8; at = filepath.Dir(at) {
			dirs = append(dirs, at)
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	if i := slices.IndexFunc(dirs, hasTemplate); i >= 0 {
		return dirs[i]
	}
	return s.w.dir
}

// hasTemplate says whether a directory is that of an application.
func hasTemplate(dir string) bool {
	return slices.ContainsFunc([]string{"template.yaml", "template.yml", "template.json"}, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// files lists the experiments that are meant: those of an application are in a
// directory of their own.
func (s *session) files(args []string) ([]string, error) {
	named := func(a string) bool { return hasTemplate(templatePath(s.w, []string{a})) }
	if s.experimentFlags.all && !slices.ContainsFunc(args, named) {
		dir := s.template
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		args = append(args, filepath.Join(dir, experimentsDir))
	}
	if len(args) == 0 {
		return nil, errUsage{errors.New("name experiments, or say --all")}
	}
	var all []string
	for _, a := range args {
		name := templatePath(s.w, []string{a})
		info, err := os.Stat(name)
		if err != nil {
			return nil, &daruma.Error{Op: "find experiments", Ref: a, Kind: daruma.KindNotFound, Err: err, Hint: "daruma experiment init writes some"}
		}
		if !info.IsDir() {
			all = append(all, name)
			continue
		}
		if hasTemplate(name) {
			name = filepath.Join(name, experimentsDir)
		}
		before := len(all)
		entries, err := os.ReadDir(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
				all = append(all, filepath.Join(name, e.Name()))
			}
		}
		if len(all) == before {
			return nil, &daruma.Error{Op: "find experiments", Ref: a, Kind: daruma.KindNotFound, Err: errors.New("there is none"), Hint: "daruma experiment init writes some"}
		}
	}
	return all, nil
}
