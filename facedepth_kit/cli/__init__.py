"""The ``facedepth`` command: ``main`` holds the list of subcommands, each topic has a module of its own."""
