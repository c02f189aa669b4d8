# loket. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Where things go: programs in bin/, what a run leaves in run/, everything else that is made in build/.
N ?= 1
CYCLES ?= 1000
DEATHS ?= 60
SELF ?=
SCENARIO ?=
PHOTO ?=
FINGERS ?=
TESTFLAGS ?=
BENCHFLAGS ?= -count 3
FUZZTIME ?= 5s
SOAK ?= 30m

# Programs are static. One of them reaches real USB devices and needs C for it (docs/decisions/0012): it is built with it where a
# compiler is, and the targets that want one try to install it.
export CGO_ENABLED ?= 0
WITH_C := ./kiosk/cmd/kioskd/
CC_PACKAGES := gcc libc6-dev
CGO_IF_GCC = $$(command -v gcc >/dev/null && echo 1 || echo 0)

# The applicant's screen needs C, OpenGL ES and X11 to draw (docs/decisions/0013): without these it is built as a stub that says so.
SCREEN_PACKAGES := pkg-config libegl-dev libgles-dev libx11-dev libxcursor-dev libxi-dev libxinerama-dev libxrandr-dev \
  libxxf86vm-dev libxkbcommon-x11-dev libx11-xcb-dev libwayland-dev libgl-dev
SCREEN_RUNS := libgl1-mesa-dri fonts-noto-core espeak-ng xvfb xdotool
SCREEN_TAGS := window,novulkan
SCREEN_IF_HERE = $$(command -v gcc >/dev/null && pkg-config --exists egl x11 xcursor xi xinerama xrandr xxf86vm xkbcommon-x11 x11-xcb \
  wayland-egl 2>/dev/null && echo 1 || echo 0)
SCREEN ?=

# Images that are not in the tree (see CONTRIBUTING.md). Tests that want them skip without.
LOKET_FIXTURES ?= $(wildcard $(abspath ../shared/data))
ifneq ($(LOKET_FIXTURES),)
export LOKET_FIXTURES
endif

# Programs are stamped with the version that git knows, but where git refuses the tree (another owner) it would be an error.
STAMP := -buildvcs=$(if $(shell git status >/dev/null 2>&1 && echo yes),true,false)

AGE := filippo.io/age/cmd/age filippo.io/age/cmd/age-keygen
MAINS := $(sort $(dir $(wildcard ./kiosk/cmd/*/main.go ./queue/cmd/*/main.go))) ./firmware-sim
BUILD := go build -trimpath $(STAMP)

# What the virtual machine is made of.
GUEST_PACKAGES := qemu-system-x86 seabios ipxe-qemu kmod cpio busybox-static

# What tests call upon as foreign witnesses; each test that finds its witness missing skips and says so.
WITNESSES := openssl strace usbip gphoto2 umockdev python3-opencv opencv-data

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## "; print "make TARGET, where TARGET is\n" } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: programs ## one intake from ticket to receipt, headless, into run/demo/ (N=3 SELF=1 PAD=1 SCENARIO=dry-finger PHOTO=file FINGERS=folder)
	@bin/loket-demo demo --bin bin --out run/demo --n $(N) $(if $(SELF),--self-service) $(if $(PAD),--pad) $(if $(SCENARIO),--scenario '$(SCENARIO)') \
	  $(if $(PHOTO),--photo '$(PHOTO)') $(if $(FINGERS),--fingers '$(FINGERS)')

.PHONY: run
run: build ## the same system left running, with what to do printed; ctrl-c ends it
	@bin/loket-demo run --bin bin --out run/live

.PHONY: test
test: house ## go vet and all tests; prints what was skipped and why, the counts last
	@.ci/need $(WITNESSES) $(CC_PACKAGES)
	@export CGO_ENABLED=$(CGO_IF_GCC); status=0; go vet ./... ./.ci/house || status=1; \
	  build/house test -vet=off -count=1 -p 2 -timeout 25m $(TESTFLAGS) ./... ./.ci/house || status=1; exit $$status

.PHONY: test-recordings
test-recordings: house ## the recorded devices through the kernel's bus, ten times (needs gcc, umockdev and LOKET_FIXTURES)
	@.ci/need umockdev $(CC_PACKAGES)
	@CGO_ENABLED=$(CGO_IF_GCC) build/house test -vet=off -count=10 -p 1 -timeout 20m -run '^TestRecorded' $(TESTFLAGS) ./drivers/...

.PHONY: test-kernel
test-kernel: go ## the kernel's bus on Debian's stock kernel with simulated and foreign devices, in a virtual machine (needs qemu, gcc)
	@.ci/need $(GUEST_PACKAGES) $(CC_PACKAGES)
	@mkdir -p build/guest
	CGO_ENABLED=1 go test -c -o build/guest/libusb.test ./drivers/usb/libusb
	.ci/guest build/guest/libusb.test -test.v -test.run Kernel
	@$(MAKE) --no-print-directory test-foreign

# libfprint loads the library that computes its keys by name.
.PHONY: test-foreign
test-foreign: go ## a foreign device under our bus, and our simulated ones under libfprint, in a virtual machine (needs qemu, gcc)
	@.ci/need $(GUEST_PACKAGES) $(CC_PACKAGES)
	@LOKET_NEED=warn .ci/need pkg-config libfprint-2-dev libglib2.0-dev
	@mkdir -p build/guest
	CGO_ENABLED=1 go test -c -o build/guest/libusb.test ./drivers/usb/libusb
	@rm -f build/guest/fprint-witness
	-pkg-config --exists libfprint-2 && gcc -Wall -o build/guest/fprint-witness drivers/usb/libusb/testdata/fprint-witness.c \
	  $$(pkg-config --cflags --libs libfprint-2)
	GUEST_PROGRAMS=$$(ls build/guest/fprint-witness 2>/dev/null || true) \
	  GUEST_LIBRARIES="$$(dpkg-query -L libnss3 2>/dev/null | grep -E '(softokn3|freebl3|freeblpriv3)\.(so|chk)$$' | tr '\n' ' ')" \
	  GUEST_QEMU='-device qemu-xhci -audiodev none,id=a -device usb-audio,audiodev=a' .ci/guest build/guest/libusb.test -test.v -test.run Foreign

.PHONY: bench-faces
bench-faces: house ## a frame of the live view through the face analyser, on one core, and the preview beside it (needs opencv-data and LOKET_FIXTURES)
	@.ci/need opencv-data
	@mkdir -p build
	GOMAXPROCS=1 go test -run '^$$' -bench 'FaceFrame|DetectFrame' $(BENCHFLAGS) ./kiosk/biometric/face/... | tee build/bench-faces.txt
	go test -run '^$$' -bench PreviewBeside -benchtime 1x ./kiosk | tee -a build/bench-faces.txt
	@build/house bench docs/performance.md <build/bench-faces.txt

.PHONY: bench-usb
bench-usb: go ## USB/IP, and the bridge over the kernel in a virtual machine, each beside a bare copy (needs qemu, gcc)
	@.ci/need $(GUEST_PACKAGES) $(CC_PACKAGES)
	go test -run '^$$' -bench 'Bulk(In|Out)$$' $(BENCHFLAGS) ./drivers/usb/usbip
	@mkdir -p build/guest
	CGO_ENABLED=1 go test -c -o build/guest/libusb.test ./drivers/usb/libusb
	.ci/guest build/guest/libusb.test -test.run '^$$' -test.bench Kernel -test.benchtime 200x

# What works on fingers, for bench-fingers: packages whose benchmarks need no other process.
FINGER_PACKAGES := ./kiosk/biometric/wsq ./kiosk/biometric/finger

.PHONY: bench-fingers
bench-fingers: go ## what prints take: compression, 500 slaps segmented, 200 fingers compared, quality, in milliseconds of one core (needs LOKET_FIXTURES)
	go test -run '^$$' -bench . -p 1 $(BENCHFLAGS) $(FINGER_PACKAGES)
	go test -run '^$$' -bench SegmentSlaps -benchtime 500x ./kiosk/biometric/finger
	LOKET_FINGERS=200 go test -timeout 1h -run '^$$' -bench 'Fingers$$|OnePerson' ./kiosk/biometric/finger

.PHONY: test-recorded
test-recorded: house ## recorded devices through an unmodified kioskd, from ticket to receipt (needs gcc, umockdev and LOKET_FIXTURES)
	@.ci/need umockdev $(CC_PACKAGES)
	@CGO_ENABLED=$(CGO_IF_GCC) build/house test -vet=off -count=1 -run '^TestRecorded' $(TESTFLAGS) ./firmware-sim/stage

.PHONY: check
check: go ## the rules of the tree: format, vet, staticcheck, imports, builds without cgo, go.mod tidy, scripts
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
	  if [ -n "$$unformatted" ]; then echo "not formatted (hint: gofmt -w): $$unformatted"; exit 1; fi
	CGO_ENABLED=$(CGO_IF_GCC) go vet ./... ./.ci/house
	CGO_ENABLED=$(CGO_IF_GCC) go tool staticcheck ./... ./.ci/house
	CGO_ENABLED=0 go vet ./drivers/usb/...
	CGO_ENABLED=0 go build -buildvcs=false ./...
	go vet -tags failpoints ./...
	go mod tidy -diff
	go test -count=1 ./docs
	@if command -v shellcheck >/dev/null; then git ls-files -co --exclude-standard '*.sh' .ci/need .ci/fuzz .ci/run .ci/console .ci/guest | xargs shellcheck; \
	  else echo "shellcheck is not here: scripts not checked"; fi

.PHONY: console
console: ## the staff console for queued, where Node 18 and npm are or can be installed
	@.ci/console

.PHONY: test-console
test-console: house console ## staff at Chromium, a kiosk and a desk, from help to receipt; axe-core looks; pictures into run/console/
	@command -v chromium >/dev/null || LOKET_NEED=warn .ci/need chromium
	@LOKET_CONSOLE=1 build/house test -vet=off -count=1 -timeout 5m $(TESTFLAGS) ./ui/console

.PHONY: programs
programs: go ## the programs that need no screen and no console, into bin/, stock age among them
	@mkdir -p bin
	$(BUILD) -o bin/ $(filter-out $(WITH_C),$(MAINS)) $(AGE)
	CGO_ENABLED=$(CGO_IF_GCC) $(BUILD) -o bin/ $(WITH_C)
	$(BUILD) -o bin/loket-demo ./firmware-sim/demo

.PHONY: build
build: go console ## all programs into bin/: with the console in queued, and the applicant's screen
	@LOKET_NEED=warn .ci/need $(CC_PACKAGES)
	@$(MAKE) --no-print-directory programs
	CGO_ENABLED=$(SCREEN_IF_HERE) $(BUILD) -tags $(SCREEN_TAGS) -o bin/ ./ui/cmd/kiosk-ui
	@command -v gcc >/dev/null || echo "NO GCC: bin/kioskd was built without real USB devices (hint: apt-get install $(CC_PACKAGES), then make build)" >&2

.PHONY: screens
screens: go ## every screen in every language, contrast and size, without a display, into run/screens/ (SCREEN=face for some)
	@.ci/need $(CC_PACKAGES) $(SCREEN_PACKAGES) $(SCREEN_RUNS)
	@mkdir -p bin
	CGO_ENABLED=1 $(BUILD) -tags $(SCREEN_TAGS) -o bin/ ./ui/cmd/kiosk-ui
	CGO_ENABLED=1 go test -count=1 -tags $(SCREEN_TAGS) -skip 'Intake|Killed|Hasty' ./ui ./ui/cmd/...
	@rm -rf run/screens
	@bin/kiosk-ui screens --only '$(SCREEN)' run/screens

.PHONY: test-screen
test-screen: house ## people at the real screen of a whole centre: by touch, by keys, by ear, in Arabic; everything killed on every page
	@.ci/need $(CC_PACKAGES) $(SCREEN_PACKAGES) $(SCREEN_RUNS)
	@CGO_ENABLED=1 build/house test -vet=off -count=1 -timeout 25m -tags $(SCREEN_TAGS) $(TESTFLAGS) ./ui ./ui/cmd/...

.PHONY: soak-ui
soak-ui: go ## hasty fingers on the screen (SOAK=30m)
	@.ci/need $(CC_PACKAGES) $(SCREEN_PACKAGES) $(SCREEN_RUNS)
	LOKET_SOAK=$(SOAK) CGO_ENABLED=1 go test -count=1 -timeout 0 -v -tags $(SCREEN_TAGS) -run Hasty ./ui/cmd/kiosk-ui

.PHONY: bench-ui
bench-ui: house ## the applicant's screen under Xvfb: frames a second, share of a core, touch to pixel, first frame
	@.ci/need $(CC_PACKAGES) $(SCREEN_PACKAGES) $(SCREEN_RUNS)
	@mkdir -p build
	CGO_ENABLED=1 go test -run '^$$' -bench Screen -benchtime 1x -tags $(SCREEN_TAGS) ./ui/cmd/kiosk-ui | tee build/bench-ui.txt
	go test -run '^$$' -bench PreviewDecode ./kiosk | tee -a build/bench-ui.txt
	@build/house bench docs/performance.md <build/bench-ui.txt

.PHONY: bench
bench: build house ## all benchmarks, then one table: goal, measured, met or missed by how much
	@mkdir -p build
	go test -run '^$$' -bench . -p 1 $(BENCHFLAGS) ./... | tee build/bench.txt
	bin/loket-demo measure --bin bin --out run/measure | tee -a build/bench.txt
	@echo
	@build/house bench docs/performance.md <build/bench.txt

.PHONY: torture
torture: go ## kills every process at every failpoint, then at random, and compares from outside
	@mkdir -p build/failpoints
	$(BUILD) -tags failpoints -o build/failpoints/ $(MAINS)
	$(BUILD) -tags failpoints -o build/failpoints/loket-demo ./firmware-sim/demo
	build/failpoints/loket-demo torture --bin build/failpoints --out run/torture

.PHONY: torture-usb
torture-usb: build ## pulls plugs 1,000 times, at rest and in every phase of a capture, and looks for what grows (CYCLES=1000)
	bin/loket-demo torture-usb --bin bin --out run/torture-usb --cycles $(CYCLES)

.PHONY: torture-handover
torture-handover: house ## both ends of a hand-over killed at every step, then at random (DEATHS=60)
	@LOKET_DEATHS=$(DEATHS) build/house test -vet=off -count=1 -timeout 60m -run SurvivesADeath $(TESTFLAGS) ./firmware-sim/stage

.PHONY: leak
leak: build ## two intakes under strace, and one that is handed over to a desk: nothing of a sample is ever written in the clear, and what is synced when
	@.ci/need strace
	bin/loket-demo leak --bin bin --out run/leak
	bin/loket-demo leak --bin bin --out run/leak-desk --n 1 --self-service

.PHONY: fuzz
fuzz: go ## every fuzz target for a few seconds (FUZZTIME=5s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: race
race: house ## all tests under the race detector (needs gcc)
	@CGO_ENABLED=1 build/house test -race -vet=off -count=1 -p 2 -timeout 60m $(TESTFLAGS) ./... ./.ci/house

.PHONY: generate
generate: house ## writes again what is generated: queries, API code, diagrams, docs/licences.md
	go generate ./...
	@mkdir -p build
	build/house licences ./... $(AGE) >build/licences.md
	mv build/licences.md docs/licences.md

.PHONY: notices
notices: house console ## the licence files of everything that is linked in or built into the console, into build/notices/
	build/house notices build/notices ./... $(AGE)

.PHONY: clean
clean: ## removes bin/, run/ and build/
	rm -rf bin run build

# Reads what the go command prints: see .ci/house.
.PHONY: house
house: go
	@go build -buildvcs=false -o build/house ./.ci/house

# Go itself is the one thing that can't be installed from Debian 12.
.PHONY: go
go:
	@command -v go >/dev/null || { echo "go is not here (hint: install Go 1.26 from https://go.dev/dl/)" >&2; exit 2; }
