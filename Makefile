# What a developer types. `make test` is all that a change has to pass.

GOTESTSUM = go tool -modfile=tools/go.mod gotestsum --format pkgname
# A test that fails is run again by itself, and said so: docs/decisions/0021-run-again.md.
AGAIN     = --rerun-fails=2 --rerun-fails-max-failures=8 --rerun-fails-abort-on-data-race
LINT      = go tool -modfile=tools/go.mod golangci-lint
# Packages in which goroutines share memory on the way of an event.
RACE = ./cell/... ./catalog/... ./run/... ./door/... ./watch/... ./node/... ./delivery/... ./topic/... ./post/...

.PHONY: help setup test short lint bench reliability planted fuzz build

help: ## what there is to do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: ## install what the tests need and this machine lacks
	sh tools/setup.sh

build: ## build bin/daruma
	CGO_ENABLED=0 go build -trimpath -o bin/daruma ./cmd/daruma

test: setup ## everything a change has to pass; skips are printed and counted
	go vet ./...
	CGO_ENABLED=0 GOOS=darwin go vet ./cmd/daruma
	$(GOTESTSUM) $(AGAIN) --packages="$$(go list ./... | grep -vE "$$(go list $(RACE) | sed 's/$$/$$/' | paste -sd'|')" | paste -sd' ')" -- -timeout 40m
	CGO_ENABLED=1 $(GOTESTSUM) $(AGAIN) --packages="$(RACE)" -- -race -timeout 40m

short: ## the tests that need nothing but Go
	go test -short ./...

lint: ## golangci-lint
	$(LINT) run

bench: ## side by side with floors and peers, in one run
	go run ./bench

reliability: ## long crash, power-loss, corruption and hostile-function runs
	go test -count=1 -v -timeout 60m ./cell -run Acknowledged -rounds 100
	go test -count=1 -v -timeout 60m ./cell/journal/disk -run DamageIsFound -damages 2000
	go test -count=1 -v -timeout 60m ./cell/journal/disk -run AnyWrite -stride 3
	DARUMA_LONG=1 go test -count=1 -v -timeout 60m ./run/... ./cmd/... -run 'Hostile|Killed|Remains|Crash'
	DARUMA_LONG=1 go test -count=1 -v -timeout 60m ./cmd/daruma -run SameSeed

planted: ## bugs planted on purpose, and the tests that catch them
	go test -count=1 ./sim -run 'Planted' -v -table

fuzz: ## every decoder for 20 seconds
	sh tools/fuzz.sh 20s
