# Thin over scripts/run.sh, which package.json uses too.
RUN = sh scripts/run.sh
# `make token`'s words, only those given on the command line: USER is in every environment.
WORDS = $(foreach v,USER NAME ROLE SCOPE ROOMS TTL KEY,$(if $(filter command,$(origin $v)),'$v=$($v)'))

.DEFAULT_GOAL = help
.PHONY: help dev test check bench build token deploy clean lint host runtime

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r t h; do printf 'make %-8s %s\n' "$$t" "$$h"; done

dev: ## serve http://localhost:8787, rebuilt at every save; ARGS="--port 8790 --var AI_PROVIDER:openai"
	@$(RUN) dev $(ARGS)

test: host runtime ## every test: the core on the host, then the built Worker on the real runtime

check: lint host ## format, clippy on host and wasm, the tests of the core

bench: ## the hot paths of the core: time and allocations
	@$(RUN) bench

build: ## the Worker as it is deployed, into build/
	@$(RUN) build

token: ## a JWT signed with .dev.vars: USER=ana [ROLE=advisor NAME= SCOPE="a b" ROOMS="x:*" TTL=3600 KEY=rsa.pem]
	@$(RUN) token $(WORDS)

deploy: ## to your Cloudflare account: queues, secrets, the Worker
	@$(RUN) deploy

clean: ## forget what was built here; data of `make dev` and the tools stay
	@rm -rf build build-panic target

lint host runtime:
	@$(RUN) $@
