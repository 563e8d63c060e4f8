# Every target's help is behind ##.

GO      ?= go
DATA    ?= var
SSH     ?= :2222
HTTPS   ?= 127.0.0.1:8443
# What version names: Go stamps no commit in a git worktree.
COMMIT  := $(shell git describe --always --dirty --abbrev=12 2>/dev/null)
TIME    := $(shell git log -1 --format=%cI 2>/dev/null)
BUILD   := CGO_ENABLED=0 $(GO) build -ldflags '-s -w -X main.buildCommit=$(COMMIT) -X main.buildTime=$(TIME)$(if $(VERSION), -X main.version=$(VERSION))' -o bin/diagsh .

# What is compiled for the checks serves the program and the tests too.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

# What make test runs: ALONE by itself, since what it counts needs a kernel that tells it all, then TESTS. RUN is a pattern of names.
ALONE   ?= ./internal/test/portload
TESTS   ?= $(ALONE) ./internal/test/e2e ./commands ./capture/filter ./internal/test/appliance ./internal/test/automation ./capture \
	./internal/test/browser ./internal/scaffold ./internal/test/https ./internal/test/contract ./... $(AZURE)
RUN     ?=
# Tests of a module of their own, which links what the program does not.
AZURE   := ./internal/test/azure
AZURES  := $(filter $(AZURE) diagsh/internal/test/azure,$(TESTS))
OURS    := $(filter-out $(AZURES),$(TESTS))

.PHONY: azure bpf help run build test quick check bench captures kills windows fuzz filter-score ports-score packets-score vm packages reference menus new licenses crypto upstream former

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: build ## build, start the appliance with its data in ./var, open the menus; leaving them ends it
	@mkdir -p $(DATA)
	@as=; if [ "$$(id -u)" != 0 ] && command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then as=sudo; fi; \
	if [ -t 0 ] && [ -t 1 ]; then exec $$as bin/diagsh serve --data $(DATA) --ssh $(SSH) --https $(HTTPS) --log $(DATA)/diagsh.log --shell; \
	else exec $$as bin/diagsh serve --data $(DATA) --ssh $(SSH) --https $(HTTPS); fi

build: ## one static binary, bin/diagsh
	@$(BUILD)

# Most tests need root, which a user with sudo has for them alone: go builds as the user. Packages and tests run side by side, those
# that take longest first; what measures times runs before the browser. All of them run the program that was built once, and the
# first keeps the accounts of a fresh appliance for the others. Nobody debugs them: -w. make check has vetted them: -vet=off.
test: packages build ## install what the tests need, then run all tests, those with real clients included
	@mkdir -p bin/mould; as="DIAGSH_BINARY=$(CURDIR)/bin/diagsh DIAGSH_MOULD=$(CURDIR)/bin/mould"; \
	root=; [ "$$(id -u)" = 0 ] || root="-exec=sudo -n env PATH=$$PATH $$as CI=$$CI"; \
	run() { dir=$$1; shift; env $$as $(GO) test -C $$dir -p 4 -parallel 6 -vet=off -ldflags=-w -timeout 25m $${root:+"$$root"} $(if $(RUN),-count=1 -run '$(RUN)') "$$@"; }; \
	all=$(if $(OURS),$$($(GO) list $(OURS) | awk '!seen[$$0]++')); quiet=$$($(GO) list $(ALONE)); \
	alone=$$(echo "$$all" | grep -Fx "$$quiet"); others=$$(echo "$$all" | grep -Fxv "$$quiet"); \
	failed=0; for list in "$$alone" "$$others"; do [ -z "$$list" ] || run . $$list || failed=1; done; \
	[ -z "$(AZURES)" ] || run $(AZURE) . || failed=1; exit $$failed

quick: ## run the tests that need no namespace, no root and no long comparison, for the edit loop
	@$(GO) test -short -p 4 -ldflags=-w ./...

check: ## gofmt, vet, staticcheck, arrows between packages, generated files
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd $(AZURE) && $(GO) vet . && $(GO) tool staticcheck .
	$(GO) test -run 'TestArrows|TestReference|TestModules|TestSizes|TestComparison|TestLinks|TestLinesOfPages|TestAPIPage' .

bench: build ## measure against peers (bench/README.md)
	$(GO) run ./bench

captures: ## every capture file below CAPTURES=DIR through every view, beside tcpdump and capinfos (make test has a small set; 3,000 files take ten minutes)
	CAPTURES=$(abspath $(CAPTURES)) $(GO) test -count=1 -timeout 60m -v -run 'TestEveryView|TestFiltersOfFiles|TestLinesOfTheCorpus|TestNothingIsSaid' ./capture/replay ./capture/decode

kills: ## 200 seeded kill -9 of captures in every mode and format, and 25 power cuts (about ten minutes; a few of them are in make test)
	KILL_POINTS=200 $(GO) test -count=1 -timeout 30m -run 'TestKilledCapture|TestPowerCut$$' ./capture

windows: ## rings and circles of millions of packets: the kept window is exactly the last one
	WINDOW_PACKETS=3000000 $(GO) test -count=1 -timeout 30m -run TestKeptWindow ./capture

filter-score: ## compare the filter compiler with libpcap on the corpus: verdicts, packets, lengths, compile time
	$(GO) test -count=1 -v -run '^(TestCorpus|TestCompileTime)$$' ./capture/filter -args -score

ports-score: ## run the workload of the port log in each tier, and write how often it named the right process into docs/measurements.md (needs root)
	$(GO) run ./internal/test/portload/score -page docs/measurements.md

packets-score: build ## run the same while an appliance captures, and write there how often packets name the right process (needs root and tshark)
	DIAGSH_BINARY=$(CURDIR)/bin/diagsh $(GO) test -count=1 -timeout 20m -v -run '^TestPacketsNameTheirProcesses$$' ./internal/test/portload -args -whole -page $(CURDIR)/docs/measurements.md

vm: build ## run diagsh under its unit file on a Debian of its own, that the program VM=... boots (internal/test/vm): the port log with its score, captures, rights; PARTS= names some
	sh internal/test/vm/run.sh "$(VM)" $(PARTS)

# Not in make test: az takes seconds for each command, and a chroot for it minutes.
CHROOTS ?= /var/cache/diagsh-tests/azure-cli
azure: build ## run azure-cli of Debian 12 and 13, as they are, through the captures of an appliance that has no way out (needs root; makes chroots in CHROOTS)
	sh internal/test/azure/chroots.sh $(CHROOTS)
	DIAGSH_BINARY=$(CURDIR)/bin/diagsh $(GO) test -C $(AZURE) -count=1 -timeout 30m -v -run '^TestAz' . -args -chroots $(abspath $(CHROOTS))

fuzz: ## fuzz what a stranger can send; FUZZTIME=10m for each target
	@bench/fuzz.sh $${FUZZTIME:-1m}

former: ## keep the data directory that the build of the commit FORMER=... makes, as a fixture that each later build must open
	@sh internal/test/upgrade/former.sh $(FORMER)

licenses: ## write assets/licenses.txt from the modules that the program is linked from
	@mkdir -p bin && $(GO) run ./internal/licenses/write > bin/licenses.txt && mv bin/licenses.txt assets/licenses.txt

crypto: ## write internal/third_party/crypto from the module cache and the patches
	$(GO) test -count=1 -run '^TestCopy$$' ./internal/third_party -args -update

upstream: ## look whether the newest golang.org/x/crypto has what internal/third_party/patches adds
	$(GO) test -count=1 -v -run '^TestUpstreamLacksThePatches$$' ./internal/third_party -args -upstream latest

reference: ## write docs/reference.md from the tree of commands, and the arrows in docs/internals/map.md
	$(GO) test -run 'TestReference|TestArrowsOnPaper|TestOperations|TestNounsOnPaper' . -update

# Menus are written as an appliance shows them, so this needs what the tests need.
menus: ## write the menus in menu.txtar and the README's session from the tree of commands
	@root=; [ "$$(id -u)" = 0 ] || root="-exec=sudo -n env PATH=$$PATH"; \
	for menu in $$(git ls-files -co --exclude-standard 'commands/*menu.go' ':!commands/shared'); do \
	$(GO) test -count=1 $${root:+"$$root"} -run 'TestTranscripts/menu$$' ./$${menu%/menu.go} -update || exit 1; done; \
	$(GO) test -count=1 $${root:+"$$root"} -run TestReadmeSession ./internal/test/automation -update

new: ## write the skeleton of a command: make new COMMAND='diagnostic network routeget' (CONTRIBUTING.md)
	@$(GO) run ./internal/scaffold "$(COMMAND)"

packages: ## install what the tests need where that is possible, else name it
	@sh internal/test/packages.sh

# The programs are for both processors: nothing in them reads registers, and both are little-endian. The types of the kernel are
# found when they are loaded. -g is what describes them; llvm-strip takes the lines of the source out again.
CLANG   ?= clang-14
STRIP   ?= llvm-strip-14
bpf: ## compile the eBPF programs in internal/bpf/programs (needs clang and llvm, 14 or later)
	cd internal/bpf/programs && for source in *.c; do \
	$(CLANG) -O2 -g -Wall -Werror -target bpf -mcpu=v3 -fdebug-prefix-map=$(CURDIR)=. -Iheaders -c $$source -o $${source%.c}.o && \
	$(STRIP) -g $${source%.c}.o && sha256sum $$source $${source%.c}.o headers/*.h > $${source%.c}.sums || exit 1; done
