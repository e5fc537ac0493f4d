"""The command line: options and their names, files of options, the standard streams, the layout of what is printed."""
