# Everything a newcomer types. Each target installs the Debian packages that it needs
# (tests/setup/packages.sh) and asks for nothing else but Rust.

SETUP    := tests/setup
PACKAGES := $(SETUP)/packages.sh
SERVICES := $(SETUP)/services.sh
CARGO    ?= cargo

.DEFAULT_GOAL := help
.PHONY: help demo test endurance day upgrade interop bench peers lint advisories chart

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## Sign in to a sample app through Keywright; prints one address to open
	$(PACKAGES) build
	$(CARGO) run --locked --bin keywright -- demo

test: ## Run the tests, on SQLite and again on PostgreSQL and Redis
	$(PACKAGES) test
	env -u TEST_DATABASE_URL -u TEST_REDIS_URL $(CARGO) test --locked
	$(SERVICES) $(CARGO) test --locked --lib --test it

endurance: ## Kill it 500 times on SQLite and 500 times on PostgreSQL and Redis, and check what is left
	$(PACKAGES) endurance
	$(CARGO) test --locked --test endurance -- --seeds 20 --lose
	$(CARGO) test --locked --test endurance -- --seeds 500 --database sqlite
	$(CARGO) test --locked --test endurance -- --seeds 500 --database postgres

day: ## Ten minutes of everything on two instances behind nginx while all of it dies; BINARY=FILE for a release build
	$(PACKAGES) endurance
	$(CARGO) test --locked --test endurance -- --day 1m --lose $(if $(BINARY),--binary $(BINARY))
	$(CARGO) test --locked --test endurance -- --day 10m $(if $(BINARY),--binary $(BINARY))

upgrade: ## Replace the former version by this one under load, and back; PREVIOUS=REVISION
	$(PACKAGES) endurance
	$(CARGO) test --locked --test endurance -- --upgrade 1m --lose $(if $(PREVIOUS),--previous $(PREVIOUS))
	$(CARGO) test --locked --test endurance -- --upgrade 5m $(if $(PREVIOUS),--previous $(PREVIOUS))

interop: ## Run the journeys with Keycloak, certified client libraries and Chromium
	$(PACKAGES) interop
	tests/interop/run

bench: ## Measure against the ceiling server (on a quiet machine)
	$(PACKAGES) bench
	$(SERVICES) $(CARGO) bench --locked --bench harness

peers: ## Measure sign-ins beside the npm package oidc-provider (on a quiet machine)
	$(PACKAGES) peers
	npm --prefix benches/peers install --no-audit --no-fund
	$(SERVICES) $(CARGO) bench --locked --bench harness -- --only F1 --peer

lint: ## Check format, lints, documentation and, where installed, dependencies
	$(PACKAGES) lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
		else echo "cargo-deny is not installed: licences not checked"; fi
	@if command -v cargo-machete >/dev/null; then $(CARGO) machete; \
		else echo "cargo-machete is not installed: unused dependencies not checked"; fi

advisories: ## Check the dependencies against the advisory database (needs the internet)
	$(CARGO) deny check advisories

chart: ## Check the Helm chart, the alert rules and what is packaged
	$(PACKAGES) chart
	helm/check.sh
