"""Everything that runs, measures or shows a model: commands, and rooms for the rest."""
