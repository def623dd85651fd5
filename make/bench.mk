# Benchmarks: each is a module of bench/measure, and runs in the environment that its line of prerequisites names.
# BENCH_ARGS=... for its command line.

## limits: what this machine can do at most: multiply-adds, reading its caches
## streams: what a step of a stream costs beyond its share of a run
## ragged: what a packed batch costs beside the padded one
## sessions: a frame of many clients, by a stream each and by Sessions
## splits: every way to split a call over threads, beside the chosen one
## subnormals: what states cost that have faded into subnormal numbers
## memory-pool: what a MemoryPool saves
## concurrency: two Python threads at once beside one after the other
## estimates: the least times by explain beside what calls take
## call-overhead: what a call costs beyond the driver's work (1 minute)
## import-time: what importing the package adds to importing NumPy
## accuracy: errors against float64, and the steps of rounding in the activations
## soak: 8 threads share Sessions for 30 minutes: bits, memory, slow steps (BENCH_ARGS="--minutes 5")
## workers-memory: what forked workers take that share a model's weights, and that do not
limits soak streams sessions workers-memory ragged splits subnormals memory-pool concurrency estimates call-overhead import-time accuracy: $(VENV)/.installed

## training: forward and backward beside PyTorch (4 minutes)
## latency: percentiles of steps and calls, quiet and beside busy processes (5 minutes)
## precision: times and errors with fewer bits, beside those of others (10 minutes)
## cells: cells other than the standard one beside ONNX Runtime (2 minutes)
## alternating: calls between those of PyTorch beside ours alone
## projection: a projection of the hidden state beside PyTorch (2 minutes)
training alternating projection latency precision cells: $(BENCH_VENV)/.installed

## adapter: the module for PyTorch beside torch.nn.LSTM (3 minutes)
adapter: $(PARITY_VENV)/.installed

BENCHMARKS := latency sessions workers-memory soak limits estimates call-overhead import-time streams ragged splits subnormals memory-pool concurrency accuracy training precision alternating cells projection adapter
.PHONY: bench bench-quick $(BENCHMARKS)
$(BENCHMARKS):
	$(<D)/bin/python -m bench.measure.$(subst -,_,$@) $(BENCH_ARGS)

bench: $(BENCH_VENV)/.installed ## times beside PyTorch, ONNX Runtime, OpenVINO and ncnn (13 minutes)
	$(BENCH_VENV)/bin/python -m bench $(BENCH_ARGS)

bench-quick: $(BENCH_VENV)/.installed ## the same with few rounds (under 3 minutes)
	$(BENCH_VENV)/bin/python -m bench --quick $(BENCH_ARGS)
