# The function for JAX, in an environment of its own.
JAX_VENV := .venv-jax

.PHONY: test-jax jax
test-jax: $(JAX_VENV)/.installed ## the function for JAX against JAX's own, and docs/jax.md
	$(JAX_VENV)/bin/python -m pytest tests/with_jax --jax $(PYTEST_ARGS)

jax: $(JAX_VENV)/.installed ## what a call of the function for JAX costs, beside JAX's own LSTM
	$(JAX_VENV)/bin/python -m bench.measure.jax $(BENCH_ARGS)

$(JAX_VENV)/.installed: $(VENV)/.installed tests/with_jax/requirements.txt
	$(new_environment)
	$(call from_wheel,[test],-r tests/with_jax/requirements.txt)
