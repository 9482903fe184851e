"""Models that adapt to the text that they are scored on, and mixtures of models."""

# Sharpnesses θ of a neural cache to choose from; Grave et al. 2017 find .1 to .7.
SHARPNESS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0)
