# Everything flumelab does, by name. Each target does its own set-up; the second call finds it done.
# Settings: make lab CLIENTS=5 PROFILE=lte VIDEO=film.mp4 SCENARIO=tour LAB=default DURATION=60 PLAYERS=1
#           make lab CLIENTS=6 PLAYERS=flume,vlc,ffplay,mpv,gstreamer
#           make lab PROFILE=lossy-1 QUALITY=1
#           make lab HOSTS=hosts.toml CLIENTS=6
#           make firewall FIREWALL=nat CLIENT=1
#           make study STUDY=mine.toml NAME=first RESUME=1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Settings come from make's command line. In the environment such names often have another meaning (PROFILE, LAB, VIDEO
# of a CI system), so what it has under them is named and not used; `make -e` uses it. A make that make starts has them
# there from the first one. WSL has a NAME in every environment: it is not used either, and that is not said.
NAMES := CLIENTS PROFILE CLIENT PLAYERS VIDEO SCENARIO LAB DURATION FIREWALL BENCH TESTS WORKERS STUDY RESUME QUALITY HOSTS
THERE := $(foreach name,$(NAMES),$(if $(filter environment,$(origin $(name))),$(if $(value $(name)),$(name))))

CLIENTS = 5
PROFILE =
CLIENT =
PLAYERS =
VIDEO =
SCENARIO = tour
LAB = default
DURATION =
FIREWALL =
QUALITY =
HOSTS =
STUDY =
NAME =
RESUME =
TESTS =
WORKERS = 4
BENCH = full

UNUSED := $(strip $(foreach name,$(THERE),$(if $(filter environment%,$(origin $(name))),,$(name))))
ifeq ($(MAKELEVEL),0)
ifneq ($(UNUSED),)
$(shell echo 'make: not used from the environment: $(UNUSED); write for example: make lab PROFILE=lte' >&2)
endif
endif

# SCENARIO once named a firewall too: `make firewall SCENARIO=nat` still works, and says what to write instead.
OLD_FIREWALL := $(if $(filter command,$(origin SCENARIO)),$(value SCENARIO))

# Recipes read these from the environment, so that a path with spaces, quotes or dollars arrives as it is.
SETTINGS := CLIENTS PROFILE CLIENT PLAYERS VIDEO SCENARIO LAB DURATION FIREWALL BENCH STUDY NAME RESUME QUALITY HOSTS
$(foreach name,$(SETTINGS),$(eval override $(name) := $$(value $(name))))
export $(SETTINGS) OLD_FIREWALL

.DEFAULT_GOAL := help
.PHONY: help lab study status netem firewall calibrate down setup hosts doctor sbom engine-stop purge unit check test bench soak fuzz fresh format players docs promises lock dist

help: ## show this list
	@echo "usage: make TARGET [SETTING=value ...]"
	@echo "settings: CLIENTS=5 PROFILE=lte VIDEO=path SCENARIO=tour LAB=default DURATION=seconds"
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ The lab

lab: $(VENV)/.stamp-lab ## stream VIDEO to CLIENTS hosts, prove which received it, leave the lab running
	@$(BIN)/flume lab run --clients "$$CLIENTS" --scenario "$$SCENARIO" --lab "$$LAB" \
		$${PROFILE:+--profile "$$PROFILE"} $${VIDEO:+--video "$$VIDEO"} $${DURATION:+--duration "$$DURATION"} \
		$${PLAYERS:+--players "$$PLAYERS"} $${QUALITY:+--quality} $${HOSTS:+--hosts "$$HOSTS"}

study: $(VENV)/.stamp-dev ## what each of several networks does to the video, on one page: STUDY=file NAME=mine; RESUME=1: go on
	@$(BIN)/flume lab study $${STUDY:+"$$STUDY"} $${NAME:+--name "$$NAME"} $${RESUME:+--resume} \
		$${HOSTS:+--hosts "$$HOSTS"}

status: $(VENV)/.stamp-lab ## show the running lab, live
	@$(BIN)/flume lab status --lab "$$LAB" $${HOSTS:+--hosts "$$HOSTS"}

netem: $(VENV)/.stamp-lab ## put another network under the running lab: PROFILE=geo CLIENT=3; without PROFILE list them
	@$(BIN)/flume lab netem $${PROFILE:+"$$PROFILE"} --lab "$$LAB" $${CLIENT:+--client "$$CLIENT"} \
		$${HOSTS:+--hosts "$$HOSTS"}

firewall: $(VENV)/.stamp-lab ## put a firewall into the running lab: FIREWALL=media-dropped CLIENT=3; without FIREWALL list them
	@if [ -z "$$FIREWALL" ] && [ -n "$$OLD_FIREWALL" ]; then \
		FIREWALL=$$OLD_FIREWALL; \
		printf 'make firewall: SCENARIO names the scenario of a lab now; next time write FIREWALL=%s\n' "$$FIREWALL" >&2; \
	fi; \
	$(BIN)/flume lab firewall --lab "$$LAB" $${CLIENT:+--client "$$CLIENT"} $${FIREWALL:+"$$FIREWALL"} \
		$${HOSTS:+--hosts "$$HOSTS"}

calibrate: $(VENV)/.stamp-lab ## measure what each profile really does, beside what it is set to
	@$(BIN)/flume lab calibrate

down: $(VENV)/.stamp-lab ## remove the lab and nothing else
	@$(BIN)/flume lab down --lab "$$LAB" $${HOSTS:+--hosts "$$HOSTS"}

##@ This machine

setup: $(VENV)/.stamp-lab ## install what is missing, start an engine if none answers, build the images
	@$(BIN)/flume lab setup

hosts: $(VENV)/.stamp-lab ## look whether the machines of HOSTS=hosts.toml are ready for a lab; copy the images to them
	@$(BIN)/flume lab hosts "$${HOSTS:-hosts.toml}"

doctor: $(VENV)/.stamp-lab ## say what this machine has for a lab, what is missing; HOSTS=hosts.toml: the same of these machines
	@if [ -n "$$HOSTS" ]; then exec $(BIN)/flume lab hosts "$$HOSTS"; fi; $(BIN)/flume doctor

sbom: $(VENV)/.stamp-dev ## list what is in the images, with versions and licences, in CycloneDX: artifacts/sbom
	@$(BIN)/flume lab sbom

engine-stop: ## stop the Docker engine, if it is one that we started
	@if [ -x $(BIN)/flume ]; then $(BIN)/flume lab stop-engine; fi

purge: ## remove all labs, images, caches and the environment; stop the engine if we started it; HOSTS=hosts.toml: there too
	@if [ -x $(BIN)/flume ]; then $(BIN)/flume lab purge $${HOSTS:+--hosts "$$HOSTS"}; \
	elif [ -n "$$HOSTS" ]; then printf 'make purge: nothing was removed from the hosts of %s: first make hosts HOSTS=%s\n' \
		"$$HOSTS" "$$HOSTS" >&2; exit 2; fi
	@rm -rf $(VENV) .cache

##@ Working on flumelab

unit: $(VENV)/.stamp-dev ## the unit tests: a minute or two, without root, Docker or any network but loopback
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/unit

check: $(VENV)/.stamp-dev ## ruff and mypy over services and tests, import contracts
	@$(BIN)/ruff check services tests examples
	@$(BIN)/ruff format --check services tests examples
	@$(BIN)/mypy
	@PYTHONPATH=services $(BIN)/lint-imports

# First what can run side by side: the unit tests, which compute, then whole programs, which mostly wait. On two cores four
# processes leave 40 % of the CPU idle. Then, alone, the catalogue of sources, which plays twenty inputs at a time. Then labs
# three at a time: they do not disturb one another, and these tests judge what was sent, received and left, not how fast.
# Last, alone, what measures the machine, plays pictures, or stops engines: the bench and the other labs.
WAITING := tests/sources/test_reader_killed.py tests/sources/test_source_returns.py
LABS := tests/lab/firewall tests/lab/hosts $(addprefix tests/lab/wire/test_,broken.py kills.py) \
	$(addprefix tests/lab/engine/test_,compose_by_hand.py taps.py) \
	$(addprefix tests/lab/netem/test_,control_shaped.py netem_command.py switching.py) \
	$(addprefix tests/lab/runs/test_,disasters.py disconnected.py examples.py in_time.py over_tcp.py restarts.py trials.py)
test: $(VENV)/.stamp-dev ## check, then run every test, the Docker ones included; TESTS=tests/lab/netem: one folder
	@log=$$(mktemp); $(MAKE) --no-print-directory check >"$$log" 2>&1 & check=$$!; \
		$(BIN)/flume lab setup --tests; prepared=$$?; \
		wait "$$check"; checked=$$?; cat "$$log"; rm "$$log"; \
		[ "$$prepared" = 0 ] || exit "$$prepared"; exit "$$checked"
	@if [ -n "$(TESTS)" ]; then exec $(BIN)/python -m pytest --durations=25 $(TESTS); fi; status=0; \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 \
			--junitxml=artifacts/junit-side-by-side.xml tests/unit tests/integration $(WAITING) || status=$$?; \
		$(BIN)/python -m pytest --durations=10 --junitxml=artifacts/junit-sources.xml tests/sources \
			$(addprefix --ignore=,$(WAITING)) || status=$$?; \
		$(BIN)/python -m pytest -n 3 --dist loadfile --durations=10 --junitxml=artifacts/junit-labs.xml $(LABS) || status=$$?; \
		$(BIN)/python -m pytest --durations=25 --junitxml=artifacts/junit-alone.xml tests/bench tests/lab \
			$(addprefix --ignore=,$(LABS)) || status=$$?; \
		PYTHONPATH=services:tests $(BIN)/python -m support.privileges \
			$(foreach part,side-by-side sources labs alone,artifacts/junit-$(part).xml); \
		exit $$status

bench: $(VENV)/.stamp-dev ## compare flume's server with other senders: BENCH=quick, or BENCH='quick --senders flume,limit'
	@PYTHONPATH=services:tests $(BIN)/python -m bench $$BENCH

soak: $(VENV)/.stamp-dev ## load a server with random commands over paths with loss: MINUTES=10, or HOURS=8; again: continue
	@PYTHONPATH=services:tests $(BIN)/python -m soak $(if $(HOURS),--hours $(HOURS),--minutes $(or $(MINUTES),10)) $(if $(NEW),--new)

fuzz: $(VENV)/.stamp-dev ## fuzz the parsers of untrusted bytes: SECONDS=60 for each, FUZZ='playlist framer' for some of them
	@PYTHONPATH=services:tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(FUZZ)

fresh: $(VENV)/.stamp-dev ## run the README's command on a fresh Debian, as root and as a user of the group docker: DEBIAN=13
	@PYTHONPATH=services:tests $(BIN)/python -m fresh --debian $(or $(DEBIAN),13) $(FRESH)

format: $(VENV)/.stamp-dev ## put the code into the agreed form
	@$(BIN)/ruff check --fix services tests examples
	@$(BIN)/ruff format services tests examples

players: $(VENV)/.stamp-dev ## make docs/players.md: what VLC, ffplay, mpv and GStreamer do here; eight minutes, or TRIALS='TCP other-server'
	@PYTHONPATH=services:tests $(BIN)/python -m matrix $(TRIALS)

docs: $(VENV)/.stamp-lab ## make the tables of the documents anew that are generated from code and profiles
	@$(BIN)/python -m flume.control.table
	@$(BIN)/python -m flume.inspect.documents
	@$(BIN)/python -m flume.lab.report.check_list
	@$(BIN)/python -m flume.lab.link.table

promises: $(VENV)/.stamp-dev ## make docs/promises.md from the results of the last whole test run
	@PYTHONPATH=tests $(BIN)/python -m support.promises

# The lab's packages are a part of the tests', and the images' are a part of the lab's: the same versions, the same hashes.
LOCK_FILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' pyproject.toml --output-file

lock: $(VENV)/.stamp-dev ## write requirements/ anew after a change of pyproject.toml; UPGRADE=rich or UPGRADE=all: newer versions
	@$(LOCK_FILE) requirements/dev.lock --all-extras --group build \
		$(if $(filter all,$(UPGRADE)),--upgrade,$(addprefix --upgrade-package ,$(UPGRADE)))
	@$(LOCK_FILE) requirements/lab.lock --upgrade --constraint requirements/dev.lock \
		--extra server --extra client --extra lab --extra metrics --group build
	@$(LOCK_FILE) requirements/images.lock --upgrade --constraint requirements/lab.lock --extra server --extra client --extra metrics

dist: $(VENV)/.stamp-dev ## build the source distribution and the wheel into dist/
	@$(BIN)/python -m hatchling build --clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "flumelab needs Python 3.11 or later: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "Installing the Debian package python3-venv: this Python cannot make a virtual environment without it." >&2; \
		[ "$$(id -u)" = 0 ] || { echo "flume: run 'sudo apt-get install python3-venv', then try again" >&2; exit 3; }; \
		apt-get update -q || true; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv; }
	@echo "Making a virtual environment in $(VENV)." >&2
	@$(PYTHON) -m venv $(VENV)

# pip draws its progress bars at a terminal; in a log they would be a hundred lines.
PIP = $(BIN)/python -m pip install --disable-pip-version-check $$([ -t 1 ] || echo --quiet) --no-deps
# Everything from a package index is a wheel that is checked by its hash. flumelab itself is built by what is locked beside it.
FROM_LOCK = $(PIP) --require-hashes --only-binary :all: --requirement
ITSELF = $(PIP) --no-index --no-build-isolation --editable .

# `touch` last: an interrupted installation is done again.
$(VENV)/.stamp-lab: pyproject.toml requirements/lab.lock | $(BIN)/python
	@echo "Installing flumelab and the Python packages of its lab into $(VENV)." >&2
	@$(FROM_LOCK) requirements/lab.lock
	@$(ITSELF)
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml requirements/dev.lock | $(BIN)/python
	@echo "Installing flumelab and the Python packages of its tests into $(VENV)." >&2
	@$(FROM_LOCK) requirements/dev.lock
	@$(ITSELF)
	@touch $(VENV)/.stamp-lab $@
