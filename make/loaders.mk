# Model files: the tests that need the libraries that wrote them, in an environment of their own.
LOADERS_VENV := .venv-loaders

.PHONY: test-loaders
test-loaders: $(LOADERS_VENV)/.installed ## model files against the libraries that wrote them, and docs/models.md
	$(LOADERS_VENV)/bin/python -m pytest tests/loaders --loaders $(PYTEST_ARGS)

$(LOADERS_VENV)/.installed: $(SOURCES) $(wildcard tests/loaders/requirements*.txt)
	$(new_environment)
	$(PIP) $(TORCH) -r tests/loaders/requirements.txt '.[test]' $(BUILD_OPTIONS)
	$(call addition,--no-deps -r tests/loaders/requirements-no-deps.txt)
