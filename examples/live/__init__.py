"""The parts of the server that listens to many clients."""
