"""Image files to pixels with geometry; knows no data set."""
