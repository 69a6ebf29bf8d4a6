# Every target explains itself: make help.

# One tool for format, staticcheck, exhaustive switches, import floors and forbidden calls, so they share one
# load of the code. test/tool builds it once into .tools/ (a minute or two).
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Packages whose tests take minutes under the race detector; they run without it in `make test`
# and with it in `make test/race`.
SLOW := aorta/test/

FUZZTIME ?= 20s

# Where test/setup.sh puts a newer Node.js than the machine's, when it must.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run generate check format check/format check/lint check/generated check/types setup test test/race sim torture bench profile fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z\/]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start everything on this machine, with sandbox providers and a demo shop
	go run ./cmd/aorta demo

generate: ## rebuild the generated files that are committed
	go generate ./...

format: ## rewrite every Go file as gofumpt writes it
	"$$(test/tool $(GOLANGCI))" fmt

check: check/format check/lint check/types check/generated ## all static checks: before each commit

check/format: ## every Go file as gofumpt writes it
	"$$(test/tool $(GOLANGCI))" fmt --diff

check/lint: ## go vet, and golangci-lint: staticcheck, forgotten cases, import floors
	go vet ./...
	"$$(test/tool $(GOLANGCI))" run ./...

check/types: setup ## types of the TypeScript, which the bundler strips unread
	test/npm/node_modules/.bin/tsc --project web/tsconfig.json
	test/npm/node_modules/.bin/tsc --project clients/typescript/tsconfig.json

check/generated: ## generated files are what their generators write today
	test/generated.sh

setup: ## install what the tests need and is missing: PostgreSQL, Chromium, npm packages
	@test/setup.sh

test: setup check ## everything, from a clean clone: what CI runs
	@SLOW='$(SLOW)' test/postgres.sh test/all.sh

test/race: setup ## every package under the race detector, the slow ones too
	@test/postgres.sh go test -race -timeout 60m ./...

sim: ## the simulator: SEEDS (2000) from FIRST (1) on, FAULTS and PAYMENTS with commas between (all)
	go test -count=1 -v -timeout 60m -run 'TestSeeds$$' ./test/sim -sim.seeds='$(or $(SEEDS),2000)' -sim.first='$(or $(FIRST),1)' -sim.faults='$(FAULTS)' -sim.payments='$(PAYMENTS)'

torture: setup ## the crash and fault programme; most of an hour. SEEDS (100000) makes it shorter
	@test/postgres.sh test/torture.sh

bench: setup ## the benchmarks on both stores, their table into bench.md; minutes on an idle machine
	@test/postgres.sh test/bench.sh bench.md

profile: setup ## renew the profile by which the compiler optimises, after large changes of the hot path
	@test/postgres.sh test/profile.sh

fuzz: ## each fuzz target for FUZZTIME (20s)
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh
