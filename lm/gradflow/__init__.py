"""Where gradients go: instruments that measure their flow through time."""
