# Batch inference on clusters of several processes: the examples' environment, with Ray and Dask.
CLUSTERS_VENV := .venv-clusters

.PHONY: ray-demo dask-demo test-clusters
ray-demo: $(CLUSTERS_VENV)/.installed ## batch inference on Ray, by two workers on this machine
	$(CLUSTERS_VENV)/bin/python examples/infer_on_ray.py

dask-demo: $(CLUSTERS_VENV)/.installed ## batch inference on Dask, by two workers on this machine
	$(CLUSTERS_VENV)/bin/python examples/infer_on_dask.py

test-clusters: $(CLUSTERS_VENV)/.installed ## the same with a worker that is killed, and what goes to the workers
	$(CLUSTERS_VENV)/bin/python -m pytest tests/clusters --clusters $(PYTEST_ARGS)

$(CLUSTERS_VENV)/.installed: $(VENV)/.installed examples/requirements-clusters.txt
	$(new_environment)
	$(call from_wheel,[test],-r examples/requirements-clusters.txt)
