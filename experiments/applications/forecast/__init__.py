"""Time series: the next values of a series, with how sure that is."""
