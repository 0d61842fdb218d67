"""What the scripts share with a terminal: flags, devices, files, signals, messages, pictures."""
