"""What the examples' command lines share."""
