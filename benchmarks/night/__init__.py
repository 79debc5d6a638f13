"""The benchmark of a night: `memoire bench nightly`, smaller with `--users 500`."""
