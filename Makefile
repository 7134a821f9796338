# Guildhall. `make demo` shows it, `make quick` is the inner loop, `make test` is everything.

GO ?= go

# What `make demo` passes on, for example DEMO="--charter gateway --fresh".
DEMO ?=

# What `make bench` passes on, for example BENCH="process -rounds 3".
BENCH ?=

# A checkout that belongs to another user (a container's volume) is no reason
# for git, and with it go build, to stop.
export GIT_CONFIG_COUNT = 1
export GIT_CONFIG_KEY_0 = safe.directory
export GIT_CONFIG_VALUE_0 = $(CURDIR)

# The revision that `make upgrade` upgrades from. Empty: the newest tag v*.
FROM ?=

# Which product `make examples` starts, with a Guildhall of its own: automation, gateway or documents.
EXAMPLE ?= automation

.PHONY: build demo cluster examples quick test golden soak upgrade bench generate

build: ## the binary, ./guildhall
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o guildhall ./cmd/guildhall

demo: build ## the product with made-up people, on 127.0.0.1:8080
	./guildhall demo $(DEMO)

cluster: build ## three servers on one PostgreSQL behind nginx, on 127.0.0.1:8080
	$(GO) run ./internal/testdb/cluster -- ./scripts/cluster.sh

examples: build ## one of the example products and its Guildhall: EXAMPLE=gateway
	GUILDHALL_BIN=$(CURDIR)/guildhall ./examples/$(EXAMPLE)/start.sh

# Without race detector, without the long tests. Each package starts its own
# PostgreSQL, so that results of unchanged packages come from the cache.
quick: ## the inner loop
	$(GO) vet ./...
	$(GO) test -short ./...

test: ## everything, on a fresh machine too: see scripts/
	./scripts/install.sh
	./scripts/test.sh

golden: ## rewrite the golden files; the diff is the review
	UPDATE=1 $(GO) run ./internal/testdb/cluster -- $(GO) test -count=1 ./...

soak: ## crash and history tests, for hours
	GUILDHALL_SOAK=1 $(GO) run ./internal/testdb/cluster -- $(GO) test -count=1 -timeout 12h -run Soak ./...

upgrade: ## the release before and this one side by side: FROM=v1.2.0, or any revision
	GO=$(GO) FROM=$(FROM) ./scripts/upgrade.sh

# Modules of their own: what is compared with is no part of Guildhall. OpenFGA is measured beside where it can be built.
bench: ## checks against floors and peers, in one run
	cd bench && $(GO) build -o ../.bench .
	cd bench/openfga && $(GO) build -o ../../.openfga . || rm -f ../../.openfga
	$(GO) run ./internal/testdb/cluster fsync=on synchronous_commit=on full_page_writes=on -- sh -c './.bench $(or $(BENCH),all) -postgres "$$GUILDHALL_TEST_POSTGRES" $$(test -x .openfga && echo -openfga ./.openfga)'

generate: ## Go files of the templates
	$(GO) tool templ generate
