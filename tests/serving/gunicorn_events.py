"""gunicorn's settings: it writes to a pipe what happens to its workers."""

import os

# Versions from 25.1 on make one in the user's home folder.
control_socket_disable = True


def tell(text):
    os.write(int(os.environ["EVENTS"]), f"{text}\n".encode())


def post_worker_init(worker):
    tell(f"begun {worker.pid}")


def child_exit(_server, worker):
    tell(f"ended {worker.pid}")
