# Model files: the tests that need the libraries that wrote them, in an environment of their own.
LOADERS_VENV := .venv-loaders

.PHONY: test-loaders
test-loaders: $(LOADERS_VENV)/.installed ## model files against the libraries that wrote them, and docs/models.md
	$(LOADERS_VENV)/bin/python -m pytest tests/loaders --loaders $(PYTEST_ARGS)

$(LOADERS_VENV)/.installed: $(VENV)/.installed $(wildcard tests/loaders/requirements*.txt)
	$(new_environment)
	$(call from_wheel,[test],$(TORCH) -r tests/loaders/requirements.txt)
	$(call addition,--no-deps -r tests/loaders/requirements-no-deps.txt)
