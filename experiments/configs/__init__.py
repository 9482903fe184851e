"""Ready configs. One file is one result: its header says what it reproduces, with
which command, in how many minutes, on which hardware, and the number to expect."""
