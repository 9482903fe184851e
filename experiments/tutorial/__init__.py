"""The tutorial, retold: six chapters that run, and one page with all that they find."""

# Britz 2015: two posts, then the four parts. Each is a script in the percent format.
CHAPTERS = (
    "from_scratch",
    "faster",
    "what_rnns_are",
    "language_model",
    "vanishing_gradients",
    "gru_lstm",
)
