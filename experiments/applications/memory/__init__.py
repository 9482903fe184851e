"""Memory tasks: sequences whose answers need what was read long before."""
