# Servers: the example that serves many clients, the tests of servers as people run them, in an environment each.
SERVING_VENV := .venv-serving
# For the test of the page.
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser chromium-headless-shell google-chrome))

.PHONY: serve-demo test-serving serving
serve-demo: $(SERVING_VENV)/.installed ## a server that finds speech in the audio of many clients, with a live page
	$(SERVING_VENV)/bin/python examples/serve.py $(SERVE_ARGS)

test-serving: $(SERVING_VENV)/.installed ## gunicorn, uvicorn and the example server, its page in headless Chromium
	CHROMIUM="$(CHROMIUM)" $(SERVING_VENV)/bin/python -m pytest tests/serving --serving $(PYTEST_ARGS)

serving: $(SERVING_VENV)/.installed ## the example server with 200 clients in real time (1 minute)
	$(SERVING_VENV)/bin/python -m bench.measure.serving $(BENCH_ARGS)

$(SERVING_VENV)/.installed: $(VENV)/.installed tests/serving/requirements.txt examples/requirements-serve.txt
	$(new_environment)
	$(call from_wheel,[test],-r tests/serving/requirements.txt -r examples/requirements-serve.txt)
	$(call addition,--no-deps -r examples/requirements-no-deps.txt)
