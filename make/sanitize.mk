# The test suite under sanitizers, and fuzzing. Builds with a sanitizer keep their symbols, and have an environment each.
SANITIZE_VENV := .venv-sanitize
QUICK_TESTS := $(addprefix tests/test_,golden.py values.py packed.py lengths.py stateful.py fuzz_corpus.py)
FUZZ_VENV := .venv-fuzz
FUZZ_SECONDS ?= 60
FUZZ_ARGS ?=
CLANG ?= clang++-14

## sanitize: the test suite under AddressSanitizer and UndefinedBehaviorSanitizer
## sanitize-quick: a part of it, in under 2 minutes
## sanitize-leak: the test suite under LeakSanitizer
## sanitize-thread: the test suite under ThreadSanitizer (Clang)
.PHONY: sanitize sanitize-quick sanitize-leak sanitize-thread fuzz fuzz-quick
sanitize: $(SANITIZE_VENV)-address/.installed
sanitize-quick: $(SANITIZE_VENV)-quick/.installed
sanitize-leak: $(SANITIZE_VENV)-leak/.installed
sanitize-thread: $(SANITIZE_VENV)-thread/.installed
# What CI runs: the core's ways through one shape of each kind, with the baseline's kernels.
sanitize-quick: TESTS := $(QUICK_TESTS)
sanitize sanitize-quick: SANITIZER := address
sanitize-leak: SANITIZER := leak
sanitize-thread: SANITIZER := thread
sanitize sanitize-quick sanitize-leak sanitize-thread:
	$(<D)/bin/python tools/sanitize.py $(SANITIZER) $(TESTS) $(PYTEST_ARGS)

# $(1): the sanitizers, $(2): the environment's name, $(3): the type of build, $(4): the instruction sets (compiling the
# kernels takes the most time).
define sanitized
$(call environment,'.[test]' --config-settings=cmake.build-type=$(3) --config-settings=install.strip=false \
  --config-settings=cmake.define.LSTM_NATIVE_SANITIZE=$(1) --config-settings=cmake.define.LSTM_NATIVE_ISAS=$(4) \
  --config-settings=build-dir=build/sanitize-$(2)/module)
endef

$(SANITIZE_VENV)-address/.installed: $(SOURCES)
	$(call sanitized,address$(comma)undefined,address,RelWithDebInfo,all)

$(SANITIZE_VENV)-quick/.installed: $(SOURCES)
	$(call sanitized,address$(comma)undefined,quick,Debug,baseline)

$(SANITIZE_VENV)-leak/.installed: $(SOURCES)
	$(call sanitized,leak,leak,RelWithDebInfo,all)

# Clang: its OpenMP runtime tells ThreadSanitizer what orders the threads, through Archer.
$(SANITIZE_VENV)-thread/.installed $(FUZZ_VENV)/.installed: export CXX = $(CLANG)
$(SANITIZE_VENV)-thread/.installed: $(SOURCES)
	$(needs_clang)
	$(call sanitized,thread,thread,RelWithDebInfo,all)

needs_clang = @command -v $(CLANG) >/dev/null || \
  { echo '$(CLANG): not found; on Debian: apt install clang-14 libomp-14-dev'; exit 1; }

$(FUZZ_VENV)/.installed: $(SOURCES) fuzz/requirements.txt
	$(needs_clang)
	$(call environment,-r fuzz/requirements.txt . --config-settings=cmake.build-type=RelWithDebInfo \
	  --config-settings=cmake.define.LSTM_NATIVE_SANITIZE=address$(comma)fuzzer-no-link \
	  --config-settings=install.strip=false --config-settings=build-dir=build/fuzz/module)

$(VENV)/.fuzz: $(VENV)/.installed fuzz/requirements.txt
	$(call addition,-r fuzz/requirements.txt)

# New calls that reach new code are added to the first folder; fuzz/corpus is what is kept in the tree.
fuzz: $(FUZZ_VENV)/.installed ## calls made of arbitrary bytes for FUZZ_SECONDS=60, guided by the coverage of the C++ core
	@mkdir -p build/fuzz/corpus
	LD_PRELOAD="$$($(FUZZ_VENV)/bin/python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(FUZZ_VENV)/bin/python -m fuzz \
	  -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=6000 -malloc_limit_mb=1000000 -max_len=512 \
	  -print_final_stats=1 $(FUZZ_ARGS) build/fuzz/corpus fuzz/corpus

fuzz-quick: $(VENV)/.fuzz ## the same for 20 s with the ordinary build, guided by the coverage of the Python layer
	@mkdir -p build/fuzz/corpus-quick
	$(VENV)/bin/python -m fuzz -seed=1 -max_total_time=20 -timeout=30 -rss_limit_mb=4000 -malloc_limit_mb=1000000 \
	  -max_len=512 $(FUZZ_ARGS) build/fuzz/corpus-quick fuzz/corpus
