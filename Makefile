# What CI runs is a target that anyone can run. `make test` needs Go and nothing else.
GO      ?= go
BIN     := bin/minikafka
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 20s
# The linter is built from its module, so that everybody runs the same one.
GOLANGCI ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCH   ?= .
COUNT   ?= 6
export CGO_ENABLED ?= 0

.PHONY: all build run test race lint fuzz gen gen-check microbench bench bench-full bench-compare profile compat powerloss restart fresh txncheck txnkill startup bench-groups load-groups image restart-beside

all: build lint test

build:
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/minikafka

# A broker on 127.0.0.1:9092 with its data in ./minikafka-data.
run: build
	./$(BIN)

# Vet, the unit tests, and the Go part of the compatibility tests. With a C compiler: with -race.
# -count=1: the test cache does not see that the binary is another one.
test: race-flag := $(shell command -v cc >/dev/null 2>&1 && echo -race)
test: build
	$(GO) vet ./...
	CGO_ENABLED=$(if $(race-flag),1,0) $(GO) test $(race-flag) -timeout 8m ./...
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 8m ./...

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...

lint:
	$(GOLANGCI) run ./...
	cd compat-tests && $(GOLANGCI) run --build-tags kafka,kcat,langs,powerloss ./...
	cd bench && $(GOLANGCI) run ./...

# Every fuzz target of the module for FUZZTIME each.
fuzz:
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . --exclude-dir=compat-tests | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/func //'); do \
	    echo "$$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$dir; done; done

# Files derived from tables: go:generate lines first, then the documents that tests compare.
gen:
	$(GO) generate ./...
	$(GO) test -count=1 -run TestDocsAreCurrent ./handlers ./config -update

gen-check: gen
	git diff --exit-code

# Micro benchmarks in benchstat's format.
microbench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

# This broker beside Apache Kafka in a network namespace: about 20 minutes on a quiet machine of two processors.
# As root, or where users may make namespaces. Needs Java and Maven. ARGS: see bench/README.md.
bench: build
	cd bench && $(GO) build -o ../bin/bench . && ../bin/bench $(ARGS)

# The same with growth curves and more clients: hours.
bench-full: build
	cd bench && $(GO) build -o ../bin/bench . && ../bin/bench -full $(ARGS)

# CPU, heap, mutex and block profiles of the broker under the load of each cell, into bench/profiles.
profile: build
	cd bench && $(GO) build -o ../bin/bench . && ../bin/bench -profile profiles $(ARGS)

# The micro benchmarks of the hot paths, of REF and of this tree in turn, through benchstat.
bench-compare:
	bench/compare '$(REF)' '$(BENCH)' '$(COUNT)'

# Real clients and Apache Kafka's own tools against this broker: needs kcat, podman and Java.
compat: build
	./compat-tests/run
	docker/test.sh

# Power failures, full disks, failing syncs and directories: on loop-mounted ext4, as root. CYCLES is how many.
powerloss: build
	MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) CYCLES=$(or $(CYCLES),50) ./compat-tests/killtest/powerloss

# Transactions through a proxy that holds, repeats and cuts off requests, with kills: DURATION of it, SEED of an old run.
txncheck: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -timeout 4h -run TestTransactionsHold ./txncheck -duration $(or $(DURATION),30m) -seed $(or $(SEED),0)

# Transactions under KILLS kills of the broker.
txnkill: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -timeout 4h -run TestTransactionsAreWholeUnderKill ./killtest -txnkills $(or $(KILLS),1000) -seed $(or $(SEED),0)

# Time from exec to the first Fetch with 6,000 partitions and 2 million records, after kill -9 and clean stops.
restart: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -timeout 10m ./restart -small 1000 -large 5000 -records 2000000 -clean-bound 300ms -kill-bound 1s

# The same beside Apache Kafka, in turn on the same directory: 10 GiB in 100 partitions, then 6,000 partitions. Needs 25 GB of disk.
restart-beside: build
	cd compat-tests && for form in '-restart-partitions 100 -restart-mib 10240 -restart-record 10000' \
	  '-restart-partitions 1000,5000 -restart-mib 200 -restart-record 100'; do \
	  MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -tags kafka -timeout 50m ./interop -run TestRestartBesideKafka \
	    -restart-repeats $(or $(REPEATS),3) $$form || exit 1; done

# What the first user of a broker waits for: the first group's first record, and a topic of 1,000 partitions.
fresh: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v ./fresh -brokers 20 -bound 50ms -partitions 1000 -create-bound 100ms

# Consumer groups beside Apache Kafka in one run: time until stable, first record, commits; CPU. Wants an idle machine.
bench-groups: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -tags kafka -timeout 15m -run TestGroupsBesideKafka ./benchgroups

# 1,000 groups and 10,000 members on one broker: CPU and memory. ARGS are flags: "-sharing 2" where ulimit -n is low.
load-groups: build
	cd compat-tests && MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -tags kafka -timeout 15m -run TestThousands ./benchgroups $(ARGS)

# Time from exec to the first answered Metadata, and resident memory when idle.
startup: build
	MINIKAFKA_TEST_BINARY=$(CURDIR)/$(BIN) $(GO) test -count=1 -v -run TestStartsFast ./cmd/minikafka

image:
	docker/build.sh
