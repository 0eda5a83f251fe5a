"""Subcommands of ``facedepth``, one topic a module; ``cli.COMMANDS`` lists them."""
