"""What a person sees of a run: lines on the terminal, pictures, the files of the run folder."""
