"""Everything between the scripts and the user: flags, messages, signals, devices, files."""
