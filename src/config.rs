//! What the binaries are told: files, environment, command line.
