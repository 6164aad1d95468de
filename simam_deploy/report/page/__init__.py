"""A report on one artifact as one HTML file: a section a file, over records that others make."""
