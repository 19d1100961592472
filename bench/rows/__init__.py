"""The rows of the table, one module each: what is prepared, what a round runs, what is demanded of the rounds."""
