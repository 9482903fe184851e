"""Image descriptions: a picture into a sentence."""
