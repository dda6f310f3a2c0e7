# The one entry to building, testing and running aimass. `make help` lists the targets.
SHELL := /bin/bash
GO ?= go
BIN := build/aimass
AIMASS_SHARED ?= $(if $(wildcard ../shared),../shared,)
SHARED := $(abspath $(AIMASS_SHARED))
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION) -extldflags "-Wl,--no-export-dynamic -Wl,-z,noseparate-code"
# Off the request path code is compiled without inlining: that, and symbols that nobody looks up, is what holds the binary to 30 MB.
COLD := net/http crypto/tls crypto/x509 encoding/json encoding/gob encoding/asn1 math/big image/... vendor/golang.org/x/net/... vendor/golang.org/x/text/... golang.org/x/text/... \
  github.com/goccy/go-yaml/... github.com/molecule-man/... github.com/prometheus/... github.com/spf13/... \
  go.etcd.io/bbolt/... google.golang.org/protobuf/encoding/... regexp/... $(addprefix github.com/aimass/aimass/,appointment/clinic/... cmd/... client/... repository/... server/releases/... train/jobs/... compress/job/...)
GCFLAGS := $(foreach p,$(COLD),-gcflags=$(p)=-l)
FUZZTIME ?= 10s
export AIMASS_SHARED := $(SHARED)

# With a C compiler on amd64 the binary holds the GPU backend, linked to stand-ins for the driver (cuda/driver/trampoline).
CUDA := $(if $(filter 1amd64linux,$(shell $(GO) env CGO_ENABLED GOARCH GOOS | tr -d '\n')),$(if $(shell command -v $${CC:-cc} && command -v ar),cuda))
TAGS := $(strip grpcnotrace $(CUDA))
LIBCUDA := $(if $(CUDA),build/cuda/libcuda.a)
# The same flags for all targets: the C kernels, which take minutes, are then compiled once for building and testing.
CUDA_CFLAGS := -O2 -g -fno-asynchronous-unwind-tables -Wno-deprecated-declarations -I$(CURDIR)/cuda/driver/include
CUDA_LDFLAGS := -O2 -g -L$(CURDIR)/build/cuda -lcuda -ldl
ifdef CUDA
export CGO_CFLAGS := $(CUDA_CFLAGS)
export CGO_LDFLAGS := $(CUDA_LDFLAGS)
endif
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

.PHONY: $(shell grep -oE '^[a-z-]+:' $(firstword $(MAKEFILE_LIST)) | tr -d :)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

build: $(BIN) ## build the binary to build/aimass

$(BIN): $(LIBCUDA) FORCE
	@echo "building $(BIN) (the first time compiles the kernels and libraries: a minute or two)"
	@mkdir -p build
	@$(GO) build $(GCFLAGS) -tags "$(TAGS)" -ldflags '$(LDFLAGS)' -o $@ ./cmd/aimass
	@! grep -qF 'text/template.(*state)' $@ || { echo "$@ has text/template linked in, which keeps every method: see docs/architecture.md"; exit 1; }
FORCE:

size: $(BIN) ## hold the stripped binary to 30 MB
	@n=$$(wc -c < $(BIN)); echo "$(BIN): $$n bytes"; test $$n -le 30000000

build/cuda/libcuda.a: $(wildcard cuda/driver/include/*.h cuda/driver/trampoline/*.go cuda/driver/trampoline/src/*.c)
	@CGO_ENABLED=0 $(GO) run ./cuda/driver/trampoline build/cuda && rm -f $(BIN)

# What links C by itself needs the stand-ins, as the flags name them.
cuda-ptx cuda-static cuda-headers cuda-test cuda-sweep cuda-mutants appointment-bench sim-oracle clinic-year test test-race test-noasm test-big test-cycles \
test-kill test-power bench-switch fuzz lint gen zoo conformance image-rootfs: | $(LIBCUDA)

cuda-env: $(LIBCUDA) ## print the environment for go build -tags cuda
	@echo 'export CGO_CFLAGS="$(CUDA_CFLAGS)" CGO_LDFLAGS="$(CUDA_LDFLAGS)"'

cuda-ptx: ## compile cuda/kernels to cuda/ptx (fetches nvcc's packages, 500 MB, to build/cuda/toolchain once)
	@$(GO) generate ./cuda/kernels
	@home=$$(cuda/kernels/toolchain.sh build/cuda/toolchain) && CUDA_HOME=$$home $(GO) run ./cuda/ptx/build

cuda-static: ## assemble every CUDA kernel for six GPUs: spills, registers, shared memory, instructions
	@if home=$$(cuda/kernels/toolchain.sh build/cuda/toolchain); then CUDA_HOME=$$home $(GO) test -count=1 -v -run TestStatic -timeout 20m ./cuda/ptx; \
	else echo "NOT RUN: cuda-static: the CUDA compiler's packages can't be fetched"; fi

cuda-headers: ## compile the CUDA driver's package against cuda.h of CUDA 12.0, 12.9 and 13.0 (fetched once, 12 MB)
	@if cuda/driver/include/toolkits.sh build/cuda/headers; then AIMASS_CUDA_HEADERS=1 $(GO) test -count=1 -v ./cuda/driver/include; \
	else echo "NOT RUN: cuda-headers: the headers' packages can't be fetched"; fi

cuda-test: ## run the CUDA tests on the test double of the driver
	@$(GO) test -tags "$(CUDA)" -timeout 20m ./cuda/...
	@$(GO) test -tags "$(TAGS)" -run GPU -timeout 20m ./runtime/gpu ./runtime ./cmd/aimass
	@$(GO) test -tags "$(CUDA)" -timeout 20m -run GPU ./runtime ./cmd/aimass

SHARDS ?= 2
cuda-sweep: ## let every driver call of small models fail in every way (on the double; takes long, goes on where it was stopped)
	@mkdir -p build && $(GO) test -tags "$(TAGS)" -c -o build/sweep.test ./runtime
	@cd runtime && for i in $$(seq 0 $$(($(SHARDS) - 1))); do AIMASS_SWEEP=$(CURDIR)/build/cuda-sweep AIMASS_SWEEP_SHARD=$$i/$(SHARDS) \
	nice -n 19 ../build/sweep.test -test.run TestGPUFaultSweep -test.timeout 12h & pids="$$pids $$!"; done; for p in $$pids; do wait $$p || failed=1; done; test -z "$$failed"

cuda-hw: $(BIN) ## pack the CUDA tests and kernels for a machine with a GPU (build/cuda-hw.tar.gz, no network needed there)
	@rm -rf build/cuda-hw && mkdir -p build/cuda-hw/ptx && cp cuda/ptx/*.ptx cuda/ptx/manifest.json build/cuda-hw/ptx && cp $(BIN) deploy/cuda-hw.sh build/cuda-hw
	@$(GO) test -tags cuda -ldflags "-s -w" -c -o build/cuda-hw/kernel.test ./cuda/kernel
	@$(GO) test -tags cuda -ldflags "-s -w" -c -o build/cuda-hw/runtime.test ./runtime
	@tar -C build -czf build/cuda-hw.tar.gz cuda-hw && ls -l build/cuda-hw.tar.gz

cuda-mutants: ## break every CUDA kernel in several ways; its tests must notice
	@AIMASS_CUDA_MUTANTS=. $(GO) test -tags "$(CUDA)" -count=1 -v -run TestMutants -timeout 60m ./cuda/kernel

demo-models: $(BIN) ## write the demo models to build/models
	@$(BIN) demo --out build/models $(if $(wildcard build/zoo/all-minilm-l6-v2/tokenizer.json),--text-model build/zoo/all-minilm-l6-v2)

appointment-bench: ## print the figures of the appointment models (minutes: a simulated year is among them)
	@AIMASS_APPOINTMENT_BENCH=1 $(GO) test -count=1 -v -timeout 30m -run 'TestTable|TestModels' ./appointment/benchmark
	@AIMASS_APPOINTMENT_BENCH=1 $(GO) test -count=1 -v -run TestRecommendLatency ./cmd/aimass 2>&1 | grep -v level=
	@$(MAKE) --no-print-directory sim-oracle clinic-year

sim-oracle: ## hold the simulator against Ciw and SimPy (Python, fetched once to build/oracle)
	@test -x build/oracle/bin/python && build/oracle/bin/python -c 'import ciw, simpy' 2>/dev/null || \
	  { python3 -m venv build/oracle && build/oracle/bin/pip -q install ciw==3.2.7 simpy==4.1.2; } >/dev/null 2>&1 || true
	@if build/oracle/bin/python -c 'import ciw, simpy' 2>/dev/null; then \
	  AIMASS_SIM_PYTHON=$(CURDIR)/build/oracle/bin/python $(GO) test -count=1 -v -run TestOracle -timeout 30m ./appointment/sim; \
	else echo "NOT RUN: sim-oracle: no Python with ciw and simpy, and they can't be fetched"; fi

clinic: demo-models ## open the example clinic on :8080, with its models on :8000 and people who do not exist
	@$(BIN) clinic --models build/models --demo $(ARGS)

clinic-year: ## play a simulated year of a clinic under rules and under the models (minutes), report to build/clinic-year
	@$(GO) run ./bench/clinicyear build/clinic-year

run: demo-models ## serve the demo models on :8000 (HTTP), :8001 (gRPC), :8002 (metrics)
	@$(BIN) serve --models build/models --welcome $(ARGS)

test: ## run the tests
	$(GO) test -timeout 15m $(TESTFLAGS) ./...

test-race: ## run the tests of the concurrent rooms under the race detector
	$(GO) test -race -timeout 15m ./batcher/... ./cache/... ./pipeline/... ./repository/... ./server/... ./client/... ./runtime ./runtime/native/... ./internal/... ./appointment/clinic ./appointment/clinic/fhir ./cmd/aimass

test-noasm: ## run the tests of the kernels and the runtime on the generic twins
	$(GO) test -tags noasm -timeout 10m ./kernels/... ./runtime/...

test-nocgo: ## build and test without cgo
	CGO_ENABLED=0 $(GO) build ./...
	CGO_ENABLED=0 $(GO) test -timeout 10m ./kernels/... ./runtime/... ./batcher/... ./cache/... ./pipeline/... ./repository/... ./server/... ./client/... ./internal/...

test-big: ## serve 3 GB of weights from external data and look at the memory
	AIMASS_BIG=1 $(GO) test -count=1 -run 'TestBig|TestExternalModelFootprint' -v ./runtime

test-cycles: ## load and unload a model a thousand times and look at the memory
	AIMASS_CYCLES=1 $(GO) test -count=1 -run TestE2ECycles -v ./cmd/aimass

test-kill: ## kill a server 200 times while it takes uploads and promotes, and look at what is left
	AIMASS_KILL_ROUNDS=200 $(GO) test -count=1 -run TestKilled -v -timeout 30m ./server/releases

bench-switch: ## the latency of requests before and while versions are promoted and rolled back
	AIMASS_SWITCH_BENCH=1 $(GO) test -count=1 -run TestE2EPromote -v ./cmd/aimass

bench-sealed: ## measure the load of sealed models beside that of plain ones (15 pairs each)
	AIMASS_SEALED_BENCH=1 $(GO) test -count=1 -v -run TestSealedLoadTiming -timeout 30m ./repository

test-asan: ## run the kernels' tests under AddressSanitizer
	CGO_CFLAGS="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" CGO_LDFLAGS="-fsanitize=address,undefined" $(GO) test -asan -timeout 15m ./kernels/...

fuzz: ## fuzz every decoder for FUZZTIME each
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
	  for t in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | sed 's/func //'); do \
	    echo "fuzz $$(dirname $$f) $$t"; $(GO) test ./$$(dirname $$f) -fuzzminimizetime=5s -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME); done; done

lint: ## check format, vet and the house rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) test ./internal/lint

gen: ## regenerate what is generated (the gRPC code needs protoc, protoc-gen-go and protoc-gen-go-grpc)
	$(GO) generate ./api/... ./appointment/... ./bench/load
	$(GO) test ./cmd/aimass -run "^(TestOperatorPage|TestHelp)$$" -update

sim: $(BIN) ## replay traces against the batching policy under a virtual clock
	@$(BIN) bench sim

bench-setup: ## make the Python environment that bench compares with
	python3 -m venv build/venv && build/venv/bin/pip -q install -r bench/ort/requirements.txt
	build/venv/bin/python bench/ort/models.py build/bench-models

# Processors that differ in their instructions may share a name, and their figures must not share a folder.
CPU := $(shell sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | head -n1 | tr -cs 'A-Za-z0-9\n' '-' | sed 's/-$$//')$(if $(shell grep -m1 -ow avx512f /proc/cpuinfo 2>/dev/null),,-AVX2)
bench: $(BIN) ## compare with ONNX Runtime where bench-setup and zoo have run; writes bench/results (BENCHFLAGS="--isa avx2": both without AVX-512)
	@if [ -x build/venv/bin/python ]; then build/venv/bin/python bench/ort/compare.py $(BIN) build/zoo build/bench-models bench/results/$(CPU)/$$(date +%F).md $(BENCHFLAGS); \
	  else echo "NOT RUN: make bench-setup has not run"; fi

bench-compress: $(BIN) ## compress MiniLM, ResNet-50 and the no-show model and compare with ONNX Runtime; writes bench/results
	@if build/venv/bin/python -c 'import tokenizers' 2>/dev/null; then build/venv/bin/python bench/compress/compare.py $(BIN) build/zoo build/bench-models build/models/appt-noshow/1/model.onnx bench/results/$(CPU)/compress-$$(date +%F).md $(BENCHFLAGS); \
	  else echo "NOT RUN: make bench-setup has not run"; fi

bench-serve: $(BIN) ## measure serving beside a no-op server, and beside Triton where AIMASS_PEERS has it; writes bench/results
	@$(GO) build -o build/bench-serve ./bench/serve
	@build/bench-serve --out bench/results/$(CPU)/serve-$$(date +%F).md $(if $(AIMASS_PEERS),--peers $(AIMASS_PEERS)) $(if $(SHARED),--peer-scripts $(SHARED)/peers) $(SERVEFLAGS) $(BIN)

zoo: ## fetch twelve real models to build/zoo, with inputs and expected outputs where the shared data are
	$(GO) run ./bench/zoo models build/zoo $(wildcard $(SHARED)/zoo/zoo-io.tar.zst)

conformance: ## unpack the ONNX standard's test cases to build/conformance
	$(GO) run ./bench/zoo unpack $(SHARED)/conformance/onnx-conformance.tar.zst build/conformance

verify: $(BIN) ## run the standard's cases and the zoo through aimass verify
	@set -e; for d in build/conformance build/zoo; do if [ -d $$d ]; then $(BIN) verify $$d; else echo "NOT RUN: $$d is absent (make conformance, make zoo)"; fi; done

bench-train-setup: ## make the Python environment that bench-train and the scikit-learn test use
	python3 -m venv build/train-venv && build/train-venv/bin/pip -q install -r bench/train/requirements.txt

bench-train: $(BIN) ## compare gradient boosting with LightGBM where bench-train-setup has run; writes bench/results
	@if [ -x build/train-venv/bin/python ]; then build/train-venv/bin/python -W ignore bench/train/compare.py $(BIN) build/train-bench bench/results/$(CPU)/train-$$(date +%F).md $(wildcard $(SHARED)/appointments/data/noshow-may-2016.csv.zip); \
	  else echo "NOT RUN: make bench-train-setup has not run"; fi

bench-train-p99: $(BIN) ## measure what a training job does to the p99 of serving
	@bash bench/train/p99.sh $(BIN)

bench-platform: bench-switch test-cycles bench-sealed bench-train bench-train-p99 test-power ## the figures of training, versions and encryption, each with its goal

test-power: ## kill the server with its training jobs at 200 random moments and look for what is lost
	AIMASS_POWER_CUTS=200 $(GO) test -count=1 -run TestPowerCut -timeout 20m -v ./train/jobs

image-rootfs: ## the CPU image's root file system in build/rootfs, without an engine
	@rm -rf build/rootfs && mkdir -p build/rootfs/usr/local/bin build/rootfs/models
	CGO_ENABLED=1 $(GO) build -ldflags '$(LDFLAGS) -extldflags "-static"' -tags netgo,osusergo,grpcnotrace -o build/rootfs/usr/local/bin/aimass ./cmd/aimass
	@ls -l build/rootfs/usr/local/bin/aimass

clean: ## remove build/
	rm -rf build
