"""What the examples of batch inference on clusters share."""
